"""What compaction knows of the transactions it walks over, all of which have been decided."""

from collections.abc import Iterable

from logserver_records.batch import BatchHeader
from logserver_records.control import EndTransactionMarker

from logserver_segments.partition_log import AbortedTransaction


class DecidedTransactions:
    """Tells aborted records, and the markers that are still needed, on one walk from a log's first batch on.

    A marker is needed as long as a batch of its transaction is there. (Kafka: `CleanedTransactionMetadata`.)

    Args:
        aborted: the aborted transactions of what is walked over.
    """

    __slots__ = ("_aborted", "_seen", "_waiting")

    def __init__(self, aborted: Iterable[AbortedTransaction]) -> None:
        # Those that begin first at the end.
        self._waiting = sorted(aborted, key=lambda transaction: transaction.first_offset, reverse=True)
        self._aborted: dict[int, AbortedTransaction] = {}
        # Producers of whose present transaction a batch was met.
        self._seen: set[int] = set()

    def is_aborted(self, header: BatchHeader) -> bool:
        """Takes the next batch, which is no control batch; returns whether its records were aborted."""
        self._begin(header.last_offset)
        if not header.is_transactional:
            return False
        self._seen.add(header.producer_id)
        return header.producer_id in self._aborted

    def end(self, header: BatchHeader, marker: EndTransactionMarker | None) -> tuple[bool, AbortedTransaction | None]:
        """Takes the next control batch.

        Returns:
            Whether a batch of the transaction was met; the transaction if it is one of the aborted ones.
        """
        self._begin(header.last_offset)
        if marker is None:
            return False, None
        was_seen = header.producer_id in self._seen
        self._seen.discard(header.producer_id)
        return was_seen, self._aborted.pop(header.producer_id, None)

    def _begin(self, offset: int) -> None:
        while self._waiting and self._waiting[-1].first_offset <= offset:
            transaction = self._waiting.pop()
            self._aborted[transaction.producer_id] = transaction
