"""`logserver consume`: records of a topic as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from logserver.cli.failures import CommandFailed, talking_to
from logserver.cli.options import json_option, partition_option, server_option
from logserver.cli.positions import Place, place_option
from logserver.cli.records_out import RecordWriter

if TYPE_CHECKING:
    from logserver_client import Consumer, TopicPartition

FORMAT_OPTION: Final = click.option(
    "--format",
    "form",
    type=click.Choice(["value", "json"]),
    default="value",
    show_default=True,
    help="The value and a line end, or one JSON object a record.",
)

_POLL_SECONDS: Final = 3600.0
"""A poll that finds nothing is simply made again."""

_MOST_A_POLL: Final = 10_000


@click.command()
@click.argument("topic")
@place_option("--from", "start", default="latest", show_default=True, help="Where to start in each partition.")
@partition_option("Only this partition.")
@click.option("--max", "most", type=click.IntRange(min=0), metavar="N", help="Stop after N records.")
@click.option("--exit-at-end", is_flag=True, help="Stop at the end that the topic has at the start.")
@FORMAT_OPTION
@server_option
@json_option("Print one JSON array of all records, closed at the end.")
def consume(
    topic: str,
    start: Place,
    partition: int | None,
    most: int | None,
    exit_at_end: bool,
    form: str,
    server: str,
    as_json: bool,
) -> None:
    """Print the records of TOPIC as they come, until interrupted.

    TIMESTAMP is milliseconds since the epoch (from 10^12 on; smaller integers are offsets) or an ISO-8601 time,
    UTC unless it says otherwise. It means the first record at or after that time.
    """
    from logserver_client import Consumer

    with (
        talking_to(server),
        Consumer(server) as consumer,
        RecordWriter(form, as_array=as_json) as writer,
    ):
        assigned = partitions_of(consumer, topic, partition)
        # Before the start is looked up, so that what --exit-at-end leaves out is never before what it shows.
        ends = consumer.end_offsets(assigned) if exit_at_end else None
        consumer.assign(assigned, at=start.position())
        _copy(consumer, writer, most, ends)


def partitions_of(consumer: Consumer[bytes, bytes], topic: str, partition: int | None) -> list[TopicPartition]:
    """The partitions to read: all of the topic, or the one named. Raises CommandFailed if the topic hasn't got it."""
    partitions = consumer.partitions_for(topic)
    if partition is None:
        return partitions
    chosen = [candidate for candidate in partitions if candidate.partition == partition]
    if not chosen:
        raise CommandFailed(f"{topic} has no partition {partition}; its partitions are 0 to {len(partitions) - 1}.")
    return chosen


def _copy(
    consumer: Consumer[bytes, bytes],
    writer: RecordWriter,
    most: int | None,
    ends: dict[TopicPartition, int] | None,
) -> None:
    """Writes records until there are `most`, or until every partition has come to its end."""
    while most is None or writer.records < most:
        if ends is not None and all(consumer.position(partition) >= end for partition, end in ends.items()):
            return
        limit = _MOST_A_POLL if most is None else min(most - writer.records, _MOST_A_POLL)
        records = consumer.poll(_POLL_SECONDS, limit)
        if ends is None:
            writer.write(records)
        else:
            writer.write(record for record in records if record.offset < ends[record.topic, record.partition])
        # Whoever watches sees each record at once; a poll brings many together when many are there.
        writer.flush()
