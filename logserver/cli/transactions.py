"""`logserver transactions`: list transactional ids, and describe the transaction of one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from logserver.cli.admin import admin_of
from logserver.cli.options import json_option, server_option
from logserver.cli.output import print_json, print_table

if TYPE_CHECKING:
    from logserver_client import Transaction

_STATES: Final = ("Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort")


@click.group()
def transactions() -> None:
    """List and describe transactions.

    \b
    A transactional id comes into being with its first producer, and has one transaction at a time:
      logserver transactions list --state Ongoing
      logserver transactions describe billing-1
    """


@transactions.command("list")
@click.option(
    "--state",
    "states",
    type=click.Choice(_STATES, case_sensitive=False),
    multiple=True,
    help="Only in this state; repeatable.",
)
@server_option
@json_option("Print one JSON array.")
def list_(states: tuple[str, ...], server: str, as_json: bool) -> None:
    """List the transactional ids.

    \b
    Transactions that are open:
      logserver transactions list --state Ongoing

    States are Kafka's: `Ongoing` while a transaction is open, `PrepareCommit` and `PrepareAbort` once that is decided
    and not yet in all partitions, `CompleteCommit` and `CompleteAbort` then, `Empty` if there was none.
    """
    with admin_of(server) as admin:
        found = admin.list_transactions(states)
    if as_json:
        print_json(
            [
                {"transactional_id": one.transactional_id, "producer_id": one.producer_id, "state": one.state}
                for one in found
            ]
        )
    elif found:
        print_table(
            ("TRANSACTIONAL ID", "PRODUCER ID", "STATE"),
            [(one.transactional_id, one.producer_id, one.state) for one in found],
        )
    else:
        click.echo("There are no such transactions." if states else "There are no transactional ids.", err=True)


@transactions.command()
@click.argument("transactional_id", metavar="ID")
@server_option
@json_option()
def describe(transactional_id: str, server: str, as_json: bool) -> None:
    """Show the producer of the transactional id ID, and the partitions of its transaction.

    \b
    Since when it is open:
      logserver transactions describe billing-1 --json | jq .start_timestamp

    While it is being ended the partitions are those that do not have the end yet. Offsets of groups are in partitions
    of __consumer_offsets. It is aborted when it is open for longer than its timeout.
    """
    with admin_of(server) as admin:
        found = admin.describe_transaction(transactional_id)
    if as_json:
        print_json(_document(found))
    else:
        _print(found)


def _print(found: Transaction) -> None:
    parts = [
        f"Transactional id {found.transactional_id}",
        found.state,
        f"producer {found.producer_id} with epoch {found.producer_epoch}",
        f"timeout {found.timeout_ms / 1000:g} s",
    ]
    if found.start_timestamp_ms is not None:
        begun = datetime.fromtimestamp(found.start_timestamp_ms / 1000, UTC)
        parts.append(f"begun {begun.isoformat(timespec='milliseconds')}")
    click.echo(", ".join(parts))
    if found.partitions:
        click.echo()
        print_table(("TOPIC", "PARTITION"), found.partitions)


def _document(found: Transaction) -> dict[str, Any]:
    return {
        "transactional_id": found.transactional_id,
        "state": found.state,
        "producer_id": found.producer_id,
        "producer_epoch": found.producer_epoch,
        "timeout_ms": found.timeout_ms,
        "start_timestamp": found.start_timestamp_ms,
        "partitions": [{"topic": tp.topic, "partition": tp.partition} for tp in found.partitions],
    }
