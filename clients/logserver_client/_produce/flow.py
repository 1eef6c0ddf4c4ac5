"""What of one partition is under way, and in which order it goes: the rules of retrying, without any I/O.

A batch is *waiting* in the queue until it is *sent*, and then answered or *lost* (its stream broke). What failed or was
lost is sent again, in order, once everything of the partition that is still under way has been answered: so a retry
never overtakes. Under an identity (idempotent producer) each batch keeps its sequence through its retries, and the
server stores it once.

A batch is *uncertain* from the moment an attempt was lost, or was answered with a retriable error that may come after
the append: it may be stored. If the server then says that sequences don't fit (OUT_OF_ORDER_SEQUENCE_NUMBER,
UNKNOWN_PRODUCER_ID, INVALID_PRODUCER_EPOCH), the partition is *broken*: batches that are certainly not stored go on
under a new epoch from sequence 0 (as Kafka's `TransactionManager` does, KIP-360); uncertain ones fail, because sending
them under another identity might store them twice.

A server accepts any sequence of a producer that it knows nothing of. So the first batch under an identity goes alone,
as does the first after a pause long enough for the server to forget: were it refused and the next one accepted, its
retry would pass for an old duplicate.
"""

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Final

from logserver_records.batch import NO_SEQUENCE
from logserver_records.compression import Compression

from logserver_client._backoff import Backoff
from logserver_client._produce.accumulator import PartitionQueue
from logserver_client._produce.batch import Batch, add_sequence
from logserver_client._produce.identity import NO_IDENTITY, Identity
from logserver_client.errors import LogServerError, delivery_timeout, message_too_large

_DUPLICATE: Final = "DUPLICATE_SEQUENCE_NUMBER"
_BROKEN_SEQUENCE: Final = frozenset(
    {"OUT_OF_ORDER_SEQUENCE_NUMBER", "UNKNOWN_PRODUCER_ID", "INVALID_PRODUCER_EPOCH", _DUPLICATE}
)
_TOO_LARGE: Final = frozenset({"MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"})
_UNKNOWN_TOPIC: Final = "UNKNOWN_TOPIC_OR_PARTITION"
# Retriable errors that come before anything is appended. After any other (KAFKA_STORAGE_ERROR, REQUEST_TIMED_OUT,
# NOT_LEADER_OR_FOLLOWER to a batch that waited for its flush) the batch may be stored.
_REFUSED: Final = frozenset(
    {
        _UNKNOWN_TOPIC,
        "LEADER_NOT_AVAILABLE",
        "THROTTLING_QUOTA_EXCEEDED",
        # Of the coordinator of a transaction, which is asked before.
        "CONCURRENT_TRANSACTIONS",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "COORDINATOR_NOT_AVAILABLE",
        "NOT_COORDINATOR",
    }
)

_REMEMBERED_S: Final = 600.0
"""How long a server surely remembers a producer (`producer.id.expiration.ms` is a day)."""

UNKNOWN_TOPIC_GRACE_S: Final = 5.0
"""How long a partition that was there may be unknown before that is believed: a topic has been deleted."""


class Next(Enum):
    """Why a partition has nothing to send."""

    NOTHING = auto()
    """Nothing is there, or answers must come first."""
    LATER = auto()
    """Not before `Flow.not_before_s`."""
    IDENTITY = auto()
    """A new identity is needed, in the place of `Flow.identity`."""


class Flow:
    """The batches of one partition from the queue to their end. Lives on the event loop.

    Args:
        ended: called with each batch that ends here.
    """

    __slots__ = (
        "_backoff",
        "_compression",
        "_compression_level",
        "_ended",
        "_in_flight_most",
        "_is_broken",
        "_is_idempotent",
        "_is_settling",
        "_next_sequence",
        "_remembered_until_s",
        "_unknown_since_s",
        "identity",
        "in_flight",
        "is_listed",
        "node_id",
        "not_before_s",
        "queue",
        "unanswered",
    )

    def __init__(
        self,
        queue: PartitionQueue,
        *,
        is_idempotent: bool,
        in_flight_most: int,
        compression: Compression,
        compression_level: int | None,
        backoff: Backoff,
        ended: Callable[[Batch], None],
    ) -> None:
        self.queue = queue
        self.node_id: int | None = None
        """The node that leads the partition as far as known."""
        self.is_listed = False
        """In the list of its node's sender."""
        self.in_flight: list[Batch] = []
        """Sent or to be sent again, in order of sequence."""
        self.unanswered = 0
        """How many of them are on a stream."""
        self.not_before_s = 0.0
        self.identity = NO_IDENTITY
        self._next_sequence = 0
        self._is_idempotent = is_idempotent
        self._in_flight_most = in_flight_most
        self._compression = compression
        self._compression_level = compression_level
        self._backoff = backoff
        self._ended = ended
        self._is_settling = False
        """Something failed: all that is under way is to be answered before anything is sent again."""
        self._is_broken = False
        self._remembered_until_s = float("-inf")
        """Until when the server knows the last batch that it has stored under our identity, hence notices a gap."""
        self._unknown_since_s: float | None = None

    def has_work(self) -> bool:
        """True while batches wait, are under way or are to be sent again."""
        return bool(self.in_flight or self.queue.sealed)

    def peek(self, now_s: float, current: Identity) -> Batch | Next:
        """Returns the batch to send next, or why there is none.

        Args:
            current: the identity that new batches get.
        """
        if now_s < self.not_before_s:
            return Next.LATER
        if self.unanswered >= self._in_flight_most_now(now_s):
            return Next.NOTHING
        if self._is_settling:
            if self.unanswered:
                return Next.NOTHING
            self._is_settling = False
        again = self._next_again()
        if self._is_broken and (again is None or not again.is_uncertain):
            if self.unanswered:
                return Next.NOTHING
            if current == self.identity:
                return Next.IDENTITY
            self._adopt(current)
        if again is not None:
            return again
        if not self.queue.sealed:
            return Next.NOTHING
        if self._is_idempotent and current == NO_IDENTITY:
            return Next.IDENTITY
        if self._is_idempotent and self.identity != current:
            # Sequences under the new identity start when the last batch under the old one has ended.
            if self.in_flight:
                return Next.NOTHING
            self._adopt(current)
        return self.queue.sealed[0]

    def send(self, batch: Batch) -> bool:
        """Takes the batch that `peek` returned as sent, stamped with identity and sequence.

        Returns:
            False if it can't be built; it has failed.
        """
        if batch not in self.in_flight:
            self.queue.sealed.popleft()
            try:
                batch.stamp(*self.identity, self._next_sequence if self._is_idempotent else NO_SEQUENCE)
            except ValueError as error:
                refusal = message_too_large(f"a batch for {self.queue.topic}-{self.queue.partition}: {error}")
                self._finish(batch, lambda: batch.fail(refusal))
                return False
            if self._is_idempotent:
                self._next_sequence = add_sequence(self._next_sequence, batch.count)
            self.in_flight.append(batch)
        batch.was_resequenced = False
        batch.is_sent = True
        self.unanswered += 1
        return True

    def forget(self, batch: Batch) -> None:
        """Ends a batch that is sent and gets no answer (acks=0)."""
        self._answered(batch)
        self.in_flight.remove(batch)
        self._finish(batch, lambda: batch.complete(-1))

    def succeeded(self, batch: Batch, base_offset: int, append_time_ms: int, now_s: float) -> None:
        """Takes in that the batch is stored."""
        self._answered(batch)
        if (batch.producer_id, batch.producer_epoch) == self.identity:
            self._remembered_until_s = now_s + _REMEMBERED_S
        self.in_flight.remove(batch)
        self._unknown_since_s = None
        if not self._has_again():
            self._backoff.reset()
        self._finish(batch, lambda: batch.complete(base_offset, append_time_ms))

    def failed(self, batch: Batch, error: LogServerError, now_s: float) -> None:
        """Takes in the server's error for the batch: it fails, is split, or waits to be sent again."""
        if error.name == _DUPLICATE and batch.is_uncertain:
            # Stored by an earlier attempt, so long ago that the server no longer knows where.
            self.succeeded(batch, -1, -1, now_s)
            return
        self._answered(batch)
        if error.retriable and error.name not in _REFUSED:
            batch.is_uncertain = True
        if batch.done:
            self._settle()
            self._drop(batch)
        elif error.name in _BROKEN_SEQUENCE and self._is_idempotent:
            self._sequence_failed(batch, error, now_s)
        elif error.name in _TOO_LARGE and batch.count > 1 and not batch.is_uncertain:
            self._settle()
            self._split(batch)
        elif error.retriable and not self._is_gone(error, now_s):
            self._settle(now_s)
        else:
            self._settle()
            self._drop(batch)
            final = _doubtful(error) if batch.is_uncertain else error
            self._finish(batch, lambda: batch.fail(final))

    def lost(self, batches: Iterable[Batch], now_s: float) -> None:
        """Takes in that the stream broke under these batches, which were not answered."""
        for batch in batches:
            self._answered(batch)
            batch.is_uncertain = True
            if batch.done:
                # Past its delivery timeout: it isn't sent again, so whether its sequence is taken stays unknown.
                self._drop(batch)
        self._settle(now_s)

    def split(self, batch: Batch) -> bool:
        """Splits a batch that is to be sent again into two; False if it is a single record."""
        if batch.done or batch.count == 1 or batch.is_sent:
            return False
        uncertain = batch.is_uncertain
        for part in self._split(batch):
            part.is_uncertain = uncertain
        return True

    def fail(self, batch: Batch, error: LogServerError) -> None:
        """Fails a batch that is to be sent again or has never been sent."""
        if batch in self.in_flight:
            self._drop(batch)
        else:
            self.queue.sealed.remove(batch)
        self._finish(batch, lambda: batch.fail(error))

    def expire(self, now_s: float) -> None:
        """Fails batches that are past their delivery timeout."""
        while self.queue.sealed and self.queue.sealed[0].deadline_s <= now_s:
            self._expire(self.queue.sealed.popleft(), "it was never sent")
        for batch in [b for b in self.in_flight if b.deadline_s <= now_s and not b.done]:
            if batch.is_sent:
                # The place is kept until the answer comes or the stream breaks.
                self._expire(batch, "whether it is stored is not known")
            else:
                self._drop(batch)
                doubt = "whether it is stored is not known" if batch.is_uncertain else "it is not stored"
                self._expire(batch, doubt)

    def fail_all(self, error: LogServerError) -> None:
        """Fails everything, at the end of the producer or when no identity can be had."""
        for batch in [*self.in_flight, *self.queue.sealed]:
            if not batch.done:
                self._finish(batch, lambda ending=batch: ending.fail(error))  # type: ignore[misc]
        self.queue.sealed.clear()
        # The places of those on a stream are kept for the answers that may still come.
        self.in_flight = [batch for batch in self.in_flight if batch.is_sent]

    def _next_again(self) -> Batch | None:
        """Returns the first batch to be sent again; of a broken partition the first uncertain one, if any."""
        again = [batch for batch in self.in_flight if not batch.is_sent]
        if self._is_broken:
            return next((batch for batch in again if batch.is_uncertain), again[0] if again else None)
        return again[0] if again else None

    def _in_flight_most_now(self, now_s: float) -> int:
        return 1 if self._is_idempotent and now_s >= self._remembered_until_s else self._in_flight_most

    def _has_again(self) -> bool:
        return len(self.in_flight) > self.unanswered

    def _answered(self, batch: Batch) -> None:
        batch.is_sent = False
        self.unanswered -= 1

    def _settle(self, now_s: float | None = None) -> None:
        """Waits for the answers that are out; with the time, also for the next delay, once for all that failed."""
        if now_s is not None and self.not_before_s <= now_s:
            self.not_before_s = now_s + self._backoff.next_delay_s()
        self._is_settling = True

    def _is_gone(self, error: LogServerError, now_s: float) -> bool:
        """True if the server has called the partition unknown for so long that it is believed."""
        if error.name != _UNKNOWN_TOPIC:
            self._unknown_since_s = None
            return False
        if self._unknown_since_s is None:
            self._unknown_since_s = now_s
        return now_s - self._unknown_since_s > UNKNOWN_TOPIC_GRACE_S

    def _sequence_failed(self, batch: Batch, error: LogServerError, now_s: float) -> None:
        if error.name == "OUT_OF_ORDER_SEQUENCE_NUMBER" and (batch.was_resequenced or self.in_flight[0] is not batch):
            # A batch before it failed, so this one could not fit; it will when it is sent in its turn.
            self._settle()
            return
        self._settle(now_s)
        self._is_broken = True
        if batch.is_uncertain:
            self.in_flight.remove(batch)
            self._finish(batch, lambda: batch.fail(_doubtful(error)))

    def _split(self, batch: Batch) -> list[Batch]:
        parts = batch.split(self._compression, self._compression_level)
        place = self.in_flight.index(batch)
        self.in_flight[place : place + 1] = parts
        self._ended(batch)
        return parts

    def _drop(self, batch: Batch) -> None:
        """Takes a batch out that will not be sent again, and closes the gap that its sequences leave."""
        place = self.in_flight.index(batch)
        del self.in_flight[place]
        if not self._is_idempotent:
            return
        if batch.is_uncertain:
            self._is_broken = True
            return
        # It is certainly not stored, so nothing behind it is: the server refuses what leaves a gap.
        for later in self.in_flight[place:]:
            later.was_resequenced = later.is_sent
            self._restamp(later, add_sequence(later.base_sequence, -batch.count))
        self._next_sequence = add_sequence(self._next_sequence, -batch.count)

    def _adopt(self, identity: Identity) -> None:
        """Goes on under a new identity: what is left, all of it certainly not stored, from sequence 0."""
        assert not self.unanswered
        self.identity = identity
        self._remembered_until_s = float("-inf")
        self._is_broken = False
        self._next_sequence = 0
        for batch in self.in_flight:
            self._restamp(batch, self._next_sequence)
            self._next_sequence = add_sequence(self._next_sequence, batch.count)

    def _restamp(self, batch: Batch, sequence: int) -> None:
        if not batch.done:
            batch.stamp(*self.identity, sequence)

    def _expire(self, batch: Batch, doubt: str) -> None:
        timeout_ms = round((batch.deadline_s - batch.created_s) * 1000)
        error = delivery_timeout(
            f"{batch.count} records for {self.queue.topic}-{self.queue.partition} were not acknowledged within "
            f"delivery_timeout_ms={timeout_ms}; {doubt}"
        )
        self._finish(batch, lambda: batch.fail(error))

    def _finish(self, batch: Batch, end: Callable[[], None]) -> None:
        if not batch.done:
            end()
        self._ended(batch)


def _doubtful(error: LogServerError) -> LogServerError:
    """Returns the error for a batch of which an earlier attempt may have been stored."""
    message = f"whether the records are stored is not known: an earlier attempt was not answered, then came: {error}"
    return type(error)(error.code, error.name, message, False)
