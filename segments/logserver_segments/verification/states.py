"""Holding producer snapshots against the batches of a log, while these are walked over."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from logserver_records.batch import NO_PRODUCER_ID, BatchHeader

from logserver_segments.markers import stored_marker
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.producer import NO_TRANSACTION, Producer
from logserver_segments.producer_snapshot import SnapshotDamaged, unpack_snapshot
from logserver_segments.producer_state import ProducerStates
from logserver_segments.seams import Disk, File

MOST_PRODUCERS: Final = 200_000
"""Remembered of a log on a walk; of those not seen for longest nothing is checked."""


class Ended(NamedTuple):
    """A marker that was met."""

    is_abort: bool
    aborted: AbortedTransaction | None
    """What it aborted, if a batch of that was met."""


class Walked:
    """Producer states as a walk over adjacent segments finds them.

    Args:
        start_offset: where the walk begins.
        snapshot: the producer snapshot there; None if there is none.
        disk: for the snapshot.
    """

    def __init__(self, start_offset: int, snapshot: str | None, disk: Disk) -> None:
        self._start = start_offset
        self._states = ProducerStates(MOST_PRODUCERS)
        self._is_known = start_offset == 0
        # Whether a batch stood at every offset; where compaction took some, less can be told.
        self._is_whole = True
        if snapshot is not None:
            try:
                self._states.load_snapshot(disk.read_file(snapshot))
                self._is_known = True
            except SnapshotDamaged:
                # Told by whoever looks at it as a snapshot.
                self._is_known = False

    @property
    def is_exact(self) -> bool:
        """Whether every batch of the transactions that are open has been met."""
        return self._is_known and self._is_whole

    def gap(self) -> None:
        """Says that offsets are missing, or that their batch is empty."""
        self._is_whole = False

    def take(self, file: File, position: int, header: BatchHeader) -> Ended | None:
        """Takes the next batch; returns the marker if it is one."""
        if header.producer_id == NO_PRODUCER_ID:
            return None
        if not header.is_control:
            self._states.update(header, header.base_offset)
            return None
        marker = stored_marker(file, position, header)
        if marker is None:
            return None
        aborted = self._states.end_transaction(header, marker)
        self._states.unstable.set_ended([])
        return Ended(not marker.is_commit, aborted)

    def compare(self, content: bytes, offset: int) -> str | None:
        """Returns what is wrong with a snapshot as of the offset that the walk has come to; None if nothing is."""
        try:
            entries = unpack_snapshot(content)
        except SnapshotDamaged as error:
            return str(error)
        walked = dict(self._states.items())
        for producer_id, said in entries:
            problem = self._compare_one(said, walked.get(producer_id), offset)
            if problem is not None:
                return f"producer {producer_id}: {problem}"
        return self._compare_open(entries, walked)

    def _compare_one(self, said: Producer, walked: Producer | None, offset: int) -> str | None:
        last = said.batches[-1] if said.batches else None
        first_open = said.transaction_first_offset
        if last is not None and last.last_offset >= offset:
            return f"its last offset {last.last_offset} is behind the snapshot's {offset}"
        if first_open >= offset:
            return f"its transaction begins at {first_open}, behind the snapshot's offset {offset}"
        if walked is None:
            if last is not None and last.last_offset >= self._start and self._is_whole:
                return f"its last offset is said to be {last.last_offset}, and the log has no batch of it there"
            return None
        found = walked.batches[-1] if walked.batches else None
        if found is not None and found.last_offset >= self._start:
            if last is None:
                return _differ(said, walked) if self.is_exact else None
            if found.last_offset > last.last_offset or (self._is_whole and found.last_offset < last.last_offset):
                return f"its last offset is said to be {last.last_offset}, and is {found.last_offset}"
            if found.last_offset == last.last_offset and (
                found.last_sequence != last.last_sequence or (self._is_whole and said.epoch != walked.epoch)
            ):
                return _differ(said, walked)
        if self.is_exact and first_open != walked.transaction_first_offset:
            return (
                f"its open transaction is said to begin at {_begin(first_open)}, "
                f"and begins at {_begin(walked.transaction_first_offset)}"
            )
        return None

    def _compare_open(self, entries: Iterable[tuple[int, Producer]], walked: dict[int, Producer]) -> str | None:
        if not self.is_exact:
            return None
        said = {producer_id for producer_id, _ in entries}
        for producer_id, producer in walked.items():
            if producer.transaction_first_offset != NO_TRANSACTION and producer_id not in said:
                first_offset = producer.transaction_first_offset
                return f"producer {producer_id} has a transaction open since {first_offset}, and it is missing"
        return None


def _begin(offset: int) -> str:
    return "none" if offset == NO_TRANSACTION else str(offset)


def _differ(said: Producer, walked: Producer) -> str | None:
    said_last = said.batches[-1].last_sequence if said.batches else -1
    walked_last = walked.batches[-1].last_sequence if walked.batches else -1
    if (said.epoch, said_last) == (walked.epoch, walked_last):
        return None
    return (
        f"its epoch and last sequence are said to be {said.epoch} and {said_last}, "
        f"and are {walked.epoch} and {walked_last}"
    )
