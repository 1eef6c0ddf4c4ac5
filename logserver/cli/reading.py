"""Reading a range of a topic that has an end: `replay`, and `consume --exit-at-end`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

import click

from logserver.cli.positions import Place
from logserver.cli.progress import Progress, progress_bar
from logserver.cli.records_out import RecordWriter

if TYPE_CHECKING:
    from logserver_client import BytesRecord, TopicPartition

_PROGRESS_EVERY: Final = 1_000


def write_range(
    writer: RecordWriter,
    server: str,
    topic: str,
    start: Place,
    end: Place | None,
    partition: int | None,
    most: int | None = None,
) -> None:
    """Writes the records from `start` (inclusive) to `end` (exclusive), `most` of them if it is given.

    Partitions that end before the offset to start from are skipped with a note; those that have lost records there to
    retention begin with what is left, with a note too. Raises what the client's `replay` raises.
    """
    from logserver_client import replay

    with replay(
        server, topic, start.position(), None if end is None else end.position(), partition=partition
    ) as records:
        if records.skipped:
            click.echo(f"Skipped {names_of(records.skipped)}, ending before {start}.", err=True)
        if records.shortened:
            click.echo(f"Records after {start} of {names_of(records.shortened)} have been deleted.", err=True)
        total = sum(max(found.end - found.start, 0) for found in records.ranges.values())
        with progress_bar("Reading", total if most is None else min(total, most), prints=True) as progress:
            writer.write(_counted(islice(records, most), progress))


def names_of(partitions: Sequence[TopicPartition]) -> str:
    """Partitions in words: partition 3; partitions 0, 1 and 7."""
    numbers = [str(found.partition) for found in partitions]
    if len(numbers) == 1:
        return f"partition {numbers[0]}"
    return f"partitions {', '.join(numbers[:-1])} and {numbers[-1]}"


def _counted(records: Iterable[BytesRecord], progress: Progress) -> Iterator[BytesRecord]:
    for count, record in enumerate(records, 1):
        yield record
        if count % _PROGRESS_EVERY == 0:
            progress.update(_PROGRESS_EVERY)
