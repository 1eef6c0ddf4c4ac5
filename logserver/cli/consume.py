"""`logserver consume`: records of a topic as they come, alone or as a member of a group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from logserver.cli.failures import talking_to
from logserver.cli.grouped import consume_as_member
from logserver.cli.options import json_option, partition_option, server_option
from logserver.cli.positions import Place, place_option
from logserver.cli.reading import write_range
from logserver.cli.records_out import RecordWriter
from logserver.cli.starts import check_reached, starts_of

if TYPE_CHECKING:
    from logserver_client import Consumer, TopicPartition
    from logserver_client._consume.config import AutoOffsetReset, IsolationLevel

FORMAT_OPTION: Final = click.option(
    "--format",
    "form",
    type=click.Choice(["value", "json"]),
    default="value",
    show_default=True,
    help="The value and a line end, or one JSON object a record.",
)

ISOLATION_OPTION: Final = click.option(
    "--isolation-level",
    "isolation",
    type=click.Choice(["read_uncommitted", "read_committed"]),
    default="read_uncommitted",
    show_default=True,
    help="With read_committed nothing of transactions that were aborted, and nothing from the first open one on.",
)

_MOST_A_POLL: Final = 10_000


@click.command()
@click.argument("topic")
@place_option(
    "--from",
    "start",
    default="latest",
    show_default=True,
    help="Where to start in each partition; with --group where it has committed nothing.",
)
@partition_option("Only this partition.")
@click.option("--group", metavar="G", help="Share the topic with the other members of this group.")
@click.option("--max", "most", type=click.IntRange(min=0), metavar="N", help="Stop after N records.")
@click.option("--exit-at-end", is_flag=True, help="Stop at the end that the topic has at the start.")
@ISOLATION_OPTION
@FORMAT_OPTION
@server_option
@json_option("Print one JSON array of all records, closed at the end.")
def consume(
    topic: str,
    start: Place,
    partition: int | None,
    group: str | None,
    most: int | None,
    exit_at_end: bool,
    isolation: IsolationLevel,
    form: str,
    server: str,
    as_json: bool,
) -> None:
    """Print the records of TOPIC as they come, until interrupted.

    TIMESTAMP is milliseconds since the epoch (from 10^12 on; smaller integers are offsets) or an ISO-8601 time,
    UTC unless it says otherwise. It means the first record at or after that time.

    \b
    What has come since midnight, then what comes; the first ten records as JSON:
      logserver consume flights --from 2026-01-01
      logserver consume flights --from earliest --max 10 --format json

    With --group the members share the partitions, and the group goes on where it was: a record is printed first,
    then its offset is committed, so that none is missed. After SIGINT, SIGTERM (exit code 130), or N records all that
    was printed is committed, and the others take over at once. A member that is killed leaves its last half second to
    be printed again, by others once its session has ended. With --exit-at-end a member stays until the whole group has
    come to the end. Restarts of the server are waited out.

    \b
    Two workers, each with its own share; run it twice:
      logserver consume flights --group billing --from earliest
    """
    if group is not None and partition is not None:
        raise click.UsageError("--partition goes without --group: the group says who gets which.")
    if group == "":
        raise click.UsageError("--group can't be empty.")
    with talking_to(server), RecordWriter(form, as_array=as_json) as writer:
        if group is not None:
            consume_as_member(writer, server, topic, group, start, most, exit_at_end=exit_at_end, isolation=isolation)
        elif exit_at_end:
            write_range(writer, server, topic, start, None, partition, most, isolation=isolation)
        else:
            _follow(writer, server, topic, start, partition, most, isolation)


def _follow(
    writer: RecordWriter,
    server: str,
    topic: str,
    start: Place,
    partition: int | None,
    most: int | None,
    isolation: IsolationLevel,
) -> None:
    """Writes records as they come, until there were `most` of them."""
    from logserver_client import Consumer, TopicPartition

    # Retention may overtake a slow reader; it then goes on with what is left.
    reset: AutoOffsetReset = "error" if partition is not None else "earliest"
    with Consumer(server, auto_offset_reset=reset, isolation_level=isolation) as consumer:
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
    partitions = consumer.partitions_for(topic)
    check_reached(consumer, partitions, start)
    return starts_of(consumer, partitions, start)
