"""Who may begin a transaction in a log, while the transaction coordinator is asked (KIP-890)."""

from logserver_records.batch import NO_SEQUENCE, BatchHeader

from logserver_segments.errors import InvalidTransactionState, OutOfOrderSequence
from logserver_segments.partition_log import Verification
from logserver_segments.producer import Producer, stale


class Verifications:
    """One `Verification` a producer, bounded in number: the one begun first goes first.

    Args:
        limit: how many at most.
    """

    __slots__ = ("_known", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[int, Verification] = {}

    def __len__(self) -> int:
        return len(self._known)

    def begin(self, producer_id: int, epoch: int, base_sequence: int, supports_epoch_bump: bool) -> Verification:
        """Returns what is to be verified for a producer: what is under way for this epoch, or something new.

        Raises:
            StaleProducerEpoch: a newer epoch of this producer is being verified.
        """
        known = self._known.get(producer_id)
        if known is not None and known.epoch > epoch:
            raise stale(producer_id, epoch, known.epoch)
        if known is None or known.epoch < epoch:
            self._known.pop(producer_id, None)
            known = self._known[producer_id] = Verification(producer_id, epoch, base_sequence, supports_epoch_bump)
            if len(self._known) > self._limit:
                del self._known[next(iter(self._known))]
        elif base_sequence > NO_SEQUENCE and (
            base_sequence < known.lowest_sequence or known.lowest_sequence == NO_SEQUENCE
        ):
            known.lowest_sequence = base_sequence
        return known

    def end(self, producer_id: int) -> None:
        """Makes what is under way for a producer worthless: its transaction has begun, or one has ended."""
        self._known.pop(producer_id, None)

    def check(self, header: BatchHeader, verification: Verification | None) -> None:
        """Decides about a batch that begins a transaction.

        Raises:
            InvalidTransactionState: it comes without what was given to verify, or that is worthless by now.
        """
        known = self._known.get(header.producer_id)
        if known is None or known is not verification or known.epoch != header.producer_epoch:
            raise InvalidTransactionState(
                f"producer {header.producer_id} has no transaction of epoch {header.producer_epoch} open here, and the "
                f"coordinator has not confirmed one that is under way; begin the transaction anew"
            )

    def check_order(self, header: BatchHeader, producer: Producer | None) -> None:
        """Decides about a batch that may come before another one that waits for the coordinator's answer.

        Raises:
            OutOfOrderSequence: its sequence says that it must not.
        """
        known = self._known.get(header.producer_id)
        if known is None:
            return
        first = header.base_sequence
        if known.supports_epoch_bump and first != 0 and (producer is None or not producer.batches):
            raise OutOfOrderSequence(
                f"producer {header.producer_id} began with sequence {first}, not 0, and is not known here"
            )
        if NO_SEQUENCE < known.lowest_sequence < first:
            raise OutOfOrderSequence(
                f"producer {header.producer_id} sent sequence {first} while {known.lowest_sequence} waits for the "
                f"transaction coordinator"
            )

    def expire(self, now_ms: int, lifetime_ms: int) -> None:
        """Forgets what nobody came back with for longer than a lifetime, counted from the first call that met it."""
        for producer_id, known in list(self._known.items()):
            if known.used_ms is None:
                known.used_ms = now_ms
            elif now_ms - known.used_ms > lifetime_ms:
                del self._known[producer_id]

    def clear(self) -> None:
        """Forgets everything."""
        self._known.clear()
