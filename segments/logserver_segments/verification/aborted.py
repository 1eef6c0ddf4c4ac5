"""Holding the transaction index of a segment against the abort markers that are met in it."""

from typing import Final

from logserver_segments.index import IndexDamaged
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.pool import Pool
from logserver_segments.seams import Disk, File
from logserver_segments.transaction_index import TransactionIndex, packed

_ENTRY_BYTES: Final = 34
_MARKED_BYTES: Final = 1


class TransactionIndexCheck:
    """The transaction index of one segment.

    Args:
        base_offset: of the segment.
        start_offset: of the log. What was before it nobody reads, and a power cut may have brought a part of it back.
    """

    def __init__(self, path: str, base_offset: int, start_offset: int, disk: Disk) -> None:
        self.path = path
        self._start_offset = start_offset
        self.problem: str | None = None
        self.position: int | None = None
        self._found: list[AbortedTransaction] = []
        self._number = 0
        self._wanted: list[AbortedTransaction] = []
        try:
            size = disk.open(path).size()
        except FileNotFoundError:
            size = 0
        self.is_marked = size == _MARKED_BYTES
        """Whether the server itself has left it so, because it could not be trusted."""
        index = TransactionIndex(base_offset, path, disk, Pool[File](1), size)
        try:
            self._found = index.entries()
        except IndexDamaged as error:
            self._fail(str(error).removeprefix(f"{path} "), None)
        index.release()

    def _fail(self, problem: str, position: int | None) -> None:
        if self.problem is None:
            self.problem, self.position = problem, position

    def take(self, marker_offset: int, known: AbortedTransaction | None, *, is_exact: bool) -> None:
        """Takes the next abort marker.

        Args:
            known: the transaction that it aborts as far as its batches tell; None if none of them was met.
            is_exact: whether all batches there ever were have been met. Compaction takes some, and the transactions
                without them; what a transaction was before retention took its beginning is not known, either.
        """
        entry = self._pass_to(marker_offset)
        if entry is not None:
            if self._fits(entry, known, is_exact=is_exact):
                self._wanted.append(entry)
                self._number += 1
                return
            self._fail(f"the entry {entry} is not what the log has: {known}", self._number * _ENTRY_BYTES)
            self._number += 1
        elif known is not None and marker_offset >= self._start_offset:
            self._fail(
                f"it lacks the transaction of producer {known.producer_id} that began at offset {known.first_offset} "
                f"and was aborted at offset {marker_offset}, so readers of committed records see what was aborted",
                None,
            )
        if known is not None:
            self._wanted.append(known)

    def _fits(self, entry: AbortedTransaction, known: AbortedTransaction | None, *, is_exact: bool) -> bool:
        start = self._start_offset
        if entry.last_offset < start:
            return True
        if known is None:
            return not is_exact
        if known.first_offset < start:
            # Whoever met it after its beginning was deleted knows less of it.
            return entry.producer_id == known.producer_id
        if is_exact:
            return _from(entry, start) == _from(known, start)
        return entry.producer_id == known.producer_id and entry.first_offset <= known.first_offset

    def _pass_to(self, marker_offset: int) -> AbortedTransaction | None:
        """Returns the entry of a marker; those before it have none."""
        while self._number < len(self._found):
            entry = self._found[self._number]
            if entry.last_offset == marker_offset:
                return entry
            if entry.last_offset > marker_offset:
                break
            self._no_marker(entry)
        return None

    def _no_marker(self, entry: AbortedTransaction) -> None:
        self._fail(f"no abort marker is where the entry {entry} says", self._number * _ENTRY_BYTES)
        self._number += 1

    def end(self) -> None:
        """Says that there are no more markers."""
        while self._number < len(self._found):
            self._no_marker(self._found[self._number])

    def content(self) -> bytes:
        """Returns what the file should hold; empty if there should be none."""
        return packed(self._wanted)


def _from(transaction: AbortedTransaction, start_offset: int) -> AbortedTransaction:
    """Returns a transaction as who knows nothing from before an offset tells it."""
    return transaction._replace(last_stable_offset=max(transaction.last_stable_offset, start_offset))
