"""What compaction knows of the transactions it walks over, all of which have been decided."""

from collections import deque
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

from logserver_records.batch import BatchHeader
from logserver_records.control import EndTransactionMarker

from logserver_segments.compaction.job import Source
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.pool import Pool
from logserver_segments.seams import Disk, File
from logserver_segments.transaction_index import TransactionIndex


class DecidedTransactions:
    """Tells aborted records, and the markers that are still needed, on one walk over segments in their order.

    A marker is needed as long as a batch of its transaction is there. (Kafka: `CleanedTransactionMetadata`.)

    Args:
        segments: all that are walked over, or more behind them.
        behind: the aborted transactions whose markers are behind these segments.
    """

    __slots__ = ("_aborted", "_behind", "_disk", "_files", "_known_to", "_seen", "_unread", "_waiting")

    def __init__(self, segments: Sequence[Source], behind: Iterable[AbortedTransaction], disk: Disk) -> None:
        self._disk = disk
        self._files: Pool[File] = Pool(1)
        # Segments whose transaction indexes were not read yet.
        self._unread = deque(segment for segment in segments if segment.transaction_index_bytes)
        self._behind = list(behind)
        # All aborted transactions that begin before this offset were read.
        self._known_to = 0
        # Those that begin first come first.
        self._waiting: list[tuple[int, AbortedTransaction]] = []
        self._aborted: dict[int, AbortedTransaction] = {}
        # Producers of whose present transaction a batch was met.
        self._seen: set[int] = set()

    def begin(self, segment: Source) -> None:
        """Says that the batches of a segment come next.

        Raises:
            IndexDamaged: a transaction index has to be made again.
            OSError: the disk refused.
        """
        # Only as far as is needed: of all that were ever aborted there may be more than there is memory for.
        while self._known_to < segment.end_offset:
            if not self._unread:
                self._take(self._behind)
                self._behind = []
                self._known_to = segment.end_offset
                return
            source = self._unread.popleft()
            path, size = source.transaction_index_path, source.transaction_index_bytes
            entries = TransactionIndex(source.base_offset, path, self._disk, self._files, size).entries()
            self._take(entries)
            if entries:
                # Whatever was aborted later began at or behind what was stable then.
                self._known_to = max(self._known_to, entries[-1].last_stable_offset)

    def _take(self, found: Iterable[AbortedTransaction]) -> None:
        for transaction in found:
            heappush(self._waiting, (transaction.first_offset, transaction))

    def is_aborted(self, header: BatchHeader) -> bool:
        """Takes the next batch, which is no control batch; returns whether its records were aborted."""
        self._begin_transactions(header.last_offset)
        if not header.is_transactional:
            return False
        self._seen.add(header.producer_id)
        return header.producer_id in self._aborted

    def end(self, header: BatchHeader, marker: EndTransactionMarker | None) -> tuple[bool, AbortedTransaction | None]:
        """Takes the next control batch.

        Returns:
            Whether a batch of the transaction was met; the transaction if it is one of the aborted ones.
        """
        self._begin_transactions(header.last_offset)
        if marker is None:
            return False, None
        was_seen = header.producer_id in self._seen
        self._seen.discard(header.producer_id)
        return was_seen, self._aborted.pop(header.producer_id, None)

    def _begin_transactions(self, offset: int) -> None:
        while self._waiting and self._waiting[0][0] <= offset:
            _, transaction = heappop(self._waiting)
            self._aborted[transaction.producer_id] = transaction
