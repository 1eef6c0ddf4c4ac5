"""`logserver consume`: records of a topic as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from logserver.cli.failures import CommandFailed, talking_to
from logserver.cli.options import json_option, partition_option, server_option
from logserver.cli.positions import Place, place_option
from logserver.cli.reading import names_of, write_range
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
    with talking_to(server), RecordWriter(form, as_array=as_json) as writer:
        if exit_at_end:
            write_range(writer, server, topic, start, None, partition, most)
        else:
            _follow(writer, server, topic, start, partition, most)


def _follow(
    writer: RecordWriter, server: str, topic: str, start: Place, partition: int | None, most: int | None
) -> None:
    """Writes records as they come, until there were `most` of them."""
    from logserver_client import Consumer, TopicPartition

    # Retention may overtake a slow reader; it then goes on with what is left.
    with Consumer(server, auto_offset_reset="error" if partition is not None else "earliest") as consumer:
        lowest = 0
        if partition is not None:
            consumer.assign(TopicPartition(topic, partition), at=start.position())
        elif start.kind == "offset":
            consumer.assign(_starts(consumer, topic, start))
            lowest = start.number
        else:
            consumer.assign(topic, at=start.position())
        while most is None or writer.records < most:
            limit = _MOST_A_POLL if most is None else min(most - writer.records, _MOST_A_POLL)
            records = consumer.poll(max_records=limit)
            writer.write(record for record in records if record.offset >= lowest)
            # Whoever watches sees each record at once; a poll brings many together when many are there.
            writer.flush()


def _starts(consumer: Consumer[bytes, bytes], topic: str, start: Place) -> dict[TopicPartition, int]:
    """Where to begin in each partition of a topic, of which some may not have come to the offset yet.

    Raises CommandFailed if none of them has.
    """
    partitions = consumer.partitions_for(topic)
    ends = consumer.end_offsets(partitions)
    later = [found for found in partitions if ends[found] < start.number]
    if len(later) == len(partitions):
        raise CommandFailed(
            f"There is nothing at {start}: every partition of {topic} ends before it, "
            f"the furthest at offset {max(ends.values())}."
        )
    if later:
        click.echo(f"Waiting for {names_of(later)} to reach {start}.", err=True)
    firsts = consumer.beginning_offsets(partitions)
    return {found: min(max(start.number, firsts[found]), ends[found]) for found in partitions}
