"""Reading a range of a topic that has an end: `replay`, and `consume --exit-at-end`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from logserver.cli.pace import Pace
from logserver.cli.positions import Place
from logserver.cli.progress import Progress, progress_bar
from logserver.cli.records_out import RecordWriter
from logserver.cli.stopping import StopSignals

if TYPE_CHECKING:
    from logserver_client import BytesRecord, Replay, TopicPartition
    from logserver_client._consume.config import IsolationLevel

_PROGRESS_EVERY: Final = 1_000


@contextmanager
def range_of(
    server: str,
    topic: str,
    start: Place,
    end: Place | None,
    partition: int | None,
    isolation: IsolationLevel,
) -> Iterator[Replay[bytes, bytes]]:
    """The records from `start` (inclusive) to `end` (exclusive, what is there now unless given).

    Partitions that end before the offset to start from are skipped with a note; those that have lost records there to
    retention begin with what is left, with a note too. Raises what the client's `replay` raises.
    """
    from logserver_client import replay

    with replay(
        server,
        topic,
        start.position(),
        None if end is None else end.position(),
        partition=partition,
        isolation_level=isolation,
    ) as records:
        if records.skipped:
            click.echo(f"Skipped {names_of(records.skipped)}, ending before {start}.", err=True)
        if records.shortened:
            click.echo(f"Records after {start} of {names_of(records.shortened)} have been deleted.", err=True)
        yield records


def count_of(records: Replay[bytes, bytes]) -> int:
    """How many records there are at most; compaction may have taken some."""
    return sum(max(found.end - found.start, 0) for found in records.ranges.values())


def write_range(
    writer: RecordWriter,
    server: str,
    topic: str,
    start: Place,
    end: Place | None,
    partition: int | None,
    most: int | None = None,
    *,
    pace: Pace | None = None,
    isolation: IsolationLevel = "read_uncommitted",
) -> None:
    """Writes the records of a range as `range_of`, `most` of them if it is given, at that pace.

    Raises KeyboardInterrupt between two records: the writer has counted all that it has taken.
    """
    with StopSignals() as stop, range_of(server, topic, start, end, partition, isolation) as records:
        total = count_of(records)
        with progress_bar("Reading", total if most is None else min(total, most), prints=True) as progress:
            writer.write(one_by_one(islice(records, most), progress, stop, pace, writer.flush))


def one_by_one(
    records: Iterable[BytesRecord],
    progress: Progress,
    stop: StopSignals,
    pace: Pace | None = None,
    pause: Callable[[], None] | None = None,
) -> Iterator[BytesRecord]:
    """Yields records at a pace, and lets signals in where it waits for the next.

    Args:
        pause: called before each wait of the pace.
    """
    following = iter(records)
    count = 0
    while (record := stop.waiting(next, following, None)) is not None:
        if pace is not None and (delay_s := pace.next_delay_s()) > 0:
            if pause is not None:
                pause()
            stop.waiting(time.sleep, delay_s)
        yield record
        count += 1
        if count % _PROGRESS_EVERY == 0:
            progress.update(_PROGRESS_EVERY)


def names_of(partitions: Sequence[TopicPartition]) -> str:
    """Partitions in words: partition 3; partitions 0, 1 and 7."""
    numbers = [str(found.partition) for found in partitions]
    if len(numbers) == 1:
        return f"partition {numbers[0]}"
    return f"partitions {', '.join(numbers[:-1])} and {numbers[-1]}"
