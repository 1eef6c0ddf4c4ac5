"""`logserver topics`: create, list, describe, alter and delete topics, and delete their records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from logserver.cli.admin import admin_of
from logserver.cli.options import json_option, pairs_option, server_option
from logserver.cli.output import byte_text, print_json, print_table

if TYPE_CHECKING:
    from logserver_client import Topic


@click.group()
def topics() -> None:
    """Create, list, describe, change and delete topics."""


_config_option = pairs_option("--config", help="A setting of the topic, such as retention.ms=3600000; repeatable.")


@topics.command()
@click.argument("name")
@click.option(
    "--partitions",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of partitions; the server's num.partitions unless given.",
)
@_config_option
@server_option
@json_option()
def create(name: str, partitions: int | None, config: dict[str, str], server: str, as_json: bool) -> None:
    """Create the topic NAME."""
    with admin_of(server) as admin:
        topic = admin.create_topic(name, partitions=partitions or 0, settings=config)
    if as_json:
        print_json(_document(topic))
    else:
        click.echo(f"Created {name} with {_partitions_text(len(topic.partitions))}.")


@topics.command("list")
@click.option(
    "--internal",
    is_flag=True,
    help="Also the server's own topics: __consumer_offsets, once there has been a consumer group.",
)
@server_option
@json_option("Print one JSON array.")
def list_(internal: bool, server: str, as_json: bool) -> None:
    """List the topics."""
    with admin_of(server) as admin:
        found = sorted(admin.list_topics(include_internal=internal), key=lambda topic: topic.name)
    if as_json:
        print_json(
            [
                {
                    "name": topic.name,
                    "topic_id": topic.topic_id,
                    "partitions": topic.partitions,
                    "internal": topic.internal,
                }
                for topic in found
            ]
        )
    elif found:
        print_table(
            ("NAME", "PARTITIONS", "TOPIC ID"), [(topic.name, topic.partitions, topic.topic_id) for topic in found]
        )
    else:
        click.echo("There are no topics.", err=True)


@topics.command()
@click.argument("name")
@server_option
@json_option()
def describe(name: str, server: str, as_json: bool) -> None:
    """Show the partitions and settings of the topic NAME."""
    with admin_of(server) as admin:
        topic = admin.describe_topic(name)
    if as_json:
        print_json(_document(topic))
        return
    click.echo(f"Topic {topic.name}, id {topic.topic_id}, {_partitions_text(len(topic.partitions))}\n")
    print_table(
        ("PARTITION", "LEADER", "EPOCH", "FIRST OFFSET", "HIGH WATERMARK", "END OFFSET", "SIZE", "STATE"),
        [
            (
                partition.partition,
                partition.leader,
                partition.leader_epoch,
                partition.log_start_offset,
                partition.high_watermark,
                partition.log_end_offset,
                byte_text(partition.size_bytes),
                "ok" if partition.error is None else partition.error.message,
            )
            for partition in topic.partitions
        ],
    )
    click.echo()
    print_table(
        ("SETTING", "VALUE", "DEFAULT"),
        [
            (setting.name, setting.value, setting.default_value if setting.overridden else "")
            for setting in topic.settings
        ],
    )


@topics.command()
@click.argument("name")
@click.option(
    "--partitions", type=click.IntRange(min=1), metavar="N", help="New number of partitions; it can only grow."
)
@_config_option
@click.option("--reset", multiple=True, metavar="NAME", help="Take a setting back to its default; repeatable.")
@server_option
@json_option()
def alter(
    name: str, partitions: int | None, config: dict[str, str], reset: tuple[str, ...], server: str, as_json: bool
) -> None:
    """Change settings of the topic NAME, or its number of partitions."""
    if partitions is None and not config and not reset:
        raise click.UsageError("Say what to change: --config NAME=VALUE, --reset NAME or --partitions N.")
    if both := sorted(set(config) & set(reset)):
        raise click.UsageError(f"{both[0]} can't be both set and reset.")
    with admin_of(server) as admin:
        if config or reset:
            # Both or nothing: what is sure to fail must not leave the other half done.
            if partitions is not None:
                admin.create_partitions(name, partitions, validate_only=True)
            topic = admin.alter_topic(name, set=config, reset=reset)
        if partitions is not None:
            topic = admin.create_partitions(name, partitions)
    if as_json:
        print_json(_document(topic))
        return
    own = ", ".join(f"{setting.name}={setting.value}" for setting in topic.settings if setting.overridden)
    click.echo(f"{name} has {_partitions_text(len(topic.partitions))} and {own or 'default settings'}.")


@topics.command()
@click.argument("name")
@server_option
@json_option()
def delete(name: str, server: str, as_json: bool) -> None:
    """Delete the topic NAME with all its records."""
    with admin_of(server) as admin:
        admin.delete_topic(name)
    if as_json:
        print_json({"name": name, "deleted": True})
    else:
        click.echo(f"Deleted {name}.")


@topics.command("delete-records")
@click.argument("name")
@click.option("--partition", type=click.IntRange(0, 2**31 - 1), metavar="P", required=True, help="The partition.")
@click.option(
    "--before",
    type=click.IntRange(-1, 2**63 - 1),
    metavar="OFFSET",
    required=True,
    help="The first offset that stays; -1 deletes all records that can be read.",
)
@server_option
@json_option()
def delete_records(name: str, partition: int, before: int, server: str, as_json: bool) -> None:
    """Delete the records of a partition before an offset."""
    with admin_of(server) as admin:
        first = admin.delete_records(name, partition, before)
    if as_json:
        print_json({"topic": name, "partition": partition, "log_start_offset": first})
    else:
        click.echo(f"Partition {partition} of {name} now starts at offset {first}.")


def _partitions_text(count: int) -> str:
    return "1 partition" if count == 1 else f"{count} partitions"


def _document(topic: Topic) -> dict[str, Any]:
    return {
        "name": topic.name,
        "topic_id": topic.topic_id,
        "internal": topic.internal,
        "partitions": [
            {
                "partition": partition.partition,
                "leader": partition.leader,
                "leader_epoch": partition.leader_epoch,
                "log_start_offset": partition.log_start_offset,
                "high_watermark": partition.high_watermark,
                "log_end_offset": partition.log_end_offset,
                "size_bytes": partition.size_bytes,
                "error": None
                if partition.error is None
                else {"code": partition.error.code, "name": partition.error.name, "message": partition.error.message},
            }
            for partition in topic.partitions
        ],
        "settings": [
            {
                "name": setting.name,
                "value": setting.value,
                "default": setting.default_value,
                "overridden": setting.overridden,
            }
            for setting in topic.settings
        ],
    }
