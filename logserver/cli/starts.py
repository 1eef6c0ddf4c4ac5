"""Where `consume` begins, partition by partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from logserver.cli.failures import CommandFailed
from logserver.cli.positions import Place
from logserver.cli.reading import names_of

if TYPE_CHECKING:
    from logserver_client import Consumer, TopicPartition


def starts_of(
    consumer: Consumer[bytes, bytes], partitions: Sequence[TopicPartition], start: Place
) -> dict[TopicPartition, int]:
    """The offset that a place stands for now in each partition.

    For an offset it is the nearest one in the log: the end where it has not been reached yet.
    """
    if start.kind == "earliest":
        return consumer.beginning_offsets(partitions)
    ends = consumer.end_offsets(partitions)
    if start.kind == "latest":
        return ends
    if start.kind == "timestamp":
        from logserver_client import Timestamp

        found = consumer.offsets_for_times({tp: Timestamp(start.number) for tp in partitions})
        return {tp: ends[tp] if at is None else at.offset for tp, at in found.items()}
    firsts = consumer.beginning_offsets(partitions)
    return {tp: min(max(start.number, firsts[tp]), ends[tp]) for tp in partitions}


def check_reached(consumer: Consumer[bytes, bytes], partitions: Sequence[TopicPartition], start: Place) -> None:
    """Notes which partitions have not come to the offset to start from yet.

    Raises CommandFailed if none has: more likely a mistake than a wish to wait.
    """
    if start.kind != "offset" or not partitions:
        return
    ends = consumer.end_offsets(partitions)
    later = [tp for tp in partitions if ends[tp] < start.number]
    if len(later) == len(partitions):
        raise CommandFailed(
            f"There is nothing at {start}: every partition of {partitions[0].topic} ends before it, "
            f"the furthest at offset {max(ends.values())}."
        )
    if later:
        click.echo(f"Waiting for {names_of(later)} to reach {start}.", err=True)
