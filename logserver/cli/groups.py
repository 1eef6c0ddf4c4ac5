"""`logserver groups`: list, describe, reset and delete consumer groups, and delete their offsets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from logserver.cli.admin import admin_of
from logserver.cli.failures import CommandFailed, sentence
from logserver.cli.group_text import group_document, print_group
from logserver.cli.options import json_option, server_option
from logserver.cli.output import NOTHING, print_json, print_table
from logserver.cli.positions import INT64_MAX, Place, place_option

if TYPE_CHECKING:
    from logserver_client import LogServerError, ResetOffset

_STATES: Final = ("empty", "assigning", "reconciling", "stable")

_topic_option = click.option("--topic", metavar="TOPIC", required=True, help="The topic.")
_partitions_option = click.option(
    "--partition",
    "partitions",
    type=click.IntRange(0, 2**31 - 1),
    multiple=True,
    metavar="P",
    help="Only this partition; repeatable.",
)


@click.group()
def groups() -> None:
    """List, describe, reset and delete consumer groups.

    \b
    A group comes into being with its first member, and keeps its place in each partition:
      logserver consume flights --group billing
      logserver groups describe billing
    """


@groups.command("list")
@click.option("--state", "states", type=click.Choice(_STATES), multiple=True, help="Only in this state; repeatable.")
@server_option
@json_option("Print one JSON array.")
def list_(states: tuple[str, ...], server: str, as_json: bool) -> None:
    """List the groups.

    \b
    Groups without members:
      logserver groups list --state empty

    A group is `empty` without members, `assigning` while the server works out who gets what, `reconciling` while
    members give up partitions and take over others, and `stable` otherwise.
    """
    with admin_of(server) as admin:
        found = sorted(admin.list_groups(states), key=lambda group: group.group_id)
    if as_json:
        print_json(
            [
                {"group_id": group.group_id, "type": group.type, "state": group.state, "members": group.members}
                for group in found
            ]
        )
    elif found:
        print_table(
            ("GROUP", "TYPE", "STATE", "MEMBERS"),
            [(group.group_id, group.type, group.state, group.members) for group in found],
        )
    else:
        click.echo("There are no such groups." if states else "There are no groups.", err=True)


@groups.command()
@click.argument("group")
@server_option
@json_option()
def describe(group: str, server: str, as_json: bool) -> None:
    """Show the members of GROUP, who owns which partition, committed offsets and lag.

    \b
    How many records are still to be worked on:
      logserver groups describe billing --json | jq .lag

    The lag of a partition is the number of records from the committed offset to the end. A partition of which the
    group has committed nothing has none, and does not count in the whole.
    """
    with admin_of(server) as admin:
        found = admin.describe_group(group)
    if as_json:
        print_json(group_document(found))
    else:
        print_group(found)


@groups.command()
@click.argument("group")
@_topic_option
@place_option("--to", help="Where the group is to go on in each partition.")
@click.option(
    "--shift-by",
    type=click.IntRange(-INT64_MAX, INT64_MAX),
    metavar="N",
    help="Go so many records forward from what is committed, backward if negative.",
)
@_partitions_option
@click.option("--dry-run", is_flag=True, help="Say what would be, and change nothing.")
@server_option
@json_option()
def reset(
    group: str,
    topic: str,
    to: Place | None,
    shift_by: int | None,
    partitions: tuple[int, ...],
    dry_run: bool,
    server: str,
    as_json: bool,
) -> None:
    """Move the committed offsets of GROUP in a topic.

    \b
    Work on everything once more; from the first of June on; on the last 100 records of partition 3:
      logserver groups reset billing --topic flights --to earliest
      logserver groups reset billing --topic flights --to 2013-06-01
      logserver groups reset billing --topic flights --shift-by -100 --partition 3

    The group must not have members: stop them first, or wait until their sessions have ended. A group that does not
    exist comes into being. What lies outside of the log becomes the nearest offset inside, with a note.
    """
    if (to is None) == (shift_by is None):
        raise click.UsageError("Say where to: either --to or --shift-by.")
    with admin_of(server) as admin:
        rows = admin.reset_offsets(
            group,
            topic,
            None if to is None else to.position(),
            shift_by=shift_by,
            partitions=partitions or None,
            validate_only=dry_run,
        )
    failed = [row.error for row in rows if row.error is not None]
    if len(failed) < len(rows) or not failed:
        _print_reset(group, topic, rows, dry_run, as_json)
    if failed:
        raise CommandFailed(_failure_text(failed, len(rows)))


@groups.command()
@click.argument("group")
@server_option
@json_option()
def delete(group: str, server: str, as_json: bool) -> None:
    """Delete GROUP with all its offsets.

    \b
    A group that is needed no more:
      logserver groups delete billing

    It must not have members.
    """
    with admin_of(server) as admin:
        admin.delete_group(group)
    if as_json:
        print_json({"group_id": group, "deleted": True})
    else:
        click.echo(f"Deleted the group {group}.")


@groups.command("delete-offsets")
@click.argument("group")
@_topic_option
@_partitions_option
@server_option
@json_option()
def delete_offsets(group: str, topic: str, partitions: tuple[int, ...], server: str, as_json: bool) -> None:
    """Forget what GROUP has committed in a topic.

    \b
    The group's next member starts where its --from says:
      logserver groups delete-offsets billing --topic flights

    No member may be subscribed to the topic.
    """
    from logserver_client import TopicPartition

    with admin_of(server) as admin:
        wanted = {TopicPartition(topic, partition) for partition in partitions}
        committed = {tp for tp in admin.committed_offsets(group, wanted) if tp.topic == topic}
        if missing := sorted(wanted - committed) if wanted else [] if committed else [topic]:
            raise CommandFailed(f"The group {group} has committed nothing in {', '.join(map(str, missing))}.")
        admin.delete_offsets(group, sorted(committed))
    numbers = sorted(tp.partition for tp in committed)
    if as_json:
        print_json({"group_id": group, "topic": topic, "partitions": numbers})
    else:
        count = "1 partition" if len(numbers) == 1 else f"{len(numbers)} partitions"
        click.echo(f"Deleted the offsets of the group {group} in {count} of {topic}.")


def _print_reset(group: str, topic: str, rows: list[ResetOffset], dry_run: bool, as_json: bool) -> None:
    if as_json:
        offsets = [_reset_document(row) for row in rows]
        print_json({"group_id": group, "topic": topic, "dry_run": dry_run, "offsets": offsets})
        return
    notes = [_note(row) for row in rows]
    cells = [
        (
            row.partition,
            NOTHING if row.previous_offset is None else row.previous_offset,
            NOTHING if row.error is not None else row.offset,
        )
        for row in rows
    ]
    if any(notes):
        print_table(("PARTITION", "FROM", "TO", "NOTE"), [(*row, note) for row, note in zip(cells, notes, strict=True)])
    else:
        print_table(("PARTITION", "FROM", "TO"), cells)
    if dry_run:
        click.echo("Nothing was changed.", err=True)


def _note(row: ResetOffset) -> str:
    if row.error is not None:
        return row.error.message or row.error.name
    return "the nearest offset in the log" if row.clamped else ""


def _reset_document(row: ResetOffset) -> dict[str, Any]:
    error = row.error
    return {
        "partition": row.partition,
        "previous_offset": row.previous_offset,
        "offset": row.offset if error is None else None,
        "clamped": row.clamped,
        "error": None if error is None else {"code": error.code, "name": error.name, "message": error.message},
    }


def _failure_text(errors: list[LogServerError], partitions: int) -> str:
    text = sentence(errors[0].message or errors[0].name)
    return text if partitions == 1 else f"{len(errors)} of {partitions} partitions were not reset. The first: {text}"
