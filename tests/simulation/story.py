"""A history that a test makes up, and what a server is said to hold: what the checks of the simulation are shown."""

from logserver.simulation.checks.state import PartitionState, State, Stored
from logserver.simulation.ledger import NEVER, Ledger, Moment, Place, Sent, Transaction
from logserver.simulation.world import MIXED

PLACE: Place = (MIXED, 0)
PRODUCER = 7


class Story:
    """Time is what is set, and so is how much had been done to the disk."""

    def __init__(self) -> None:
        self.now_s = 10.0
        self.done = 0
        self.ledger = Ledger(lambda: self.now_s, lambda: self.at)
        self.state = State()

    @property
    def at(self) -> Moment:
        """The present moment of the disk."""
        return Moment(0, self.done)

    # What clients know

    def send(
        self,
        value: str,
        *,
        place: Place = PLACE,
        key: str | None = None,
        acked: int | None = None,
        transaction: Transaction | None = None,
        is_idempotent: bool = True,
        is_tombstone: bool = False,
    ) -> Sent:
        """Sends a record named `writer:number`; `acked` is the offset that was told, if one was."""
        writer, _, number = value.partition(":")
        sent = Sent(
            value, writer, int(number), place, key, self.at, is_idempotent, transaction, is_tombstone=is_tombstone
        )
        self.ledger.send(sent)
        if acked is not None:
            self.ledger.acked(sent, acked)
        return sent

    def transact(self, *, asked_commit: bool | None = None, ended: bool | None = None) -> Transaction:
        """Begins a transaction, which was asked to end and did so as is said."""
        made = Transaction("tx", 1, len(self.ledger.transactions), self.now_s)
        made.asked_commit, made.ended = asked_commit, ended
        made.ended_at = self.at if ended is not None else NEVER
        self.ledger.transactions.append(made)
        return made

    # What the server holds

    def partition(self, place: Place = PLACE) -> PartitionState:
        """Returns a partition of the server's, empty at first."""
        return self.state.partitions.setdefault(place, PartitionState(place, 0, 0, 0))

    def store(self, offset: int, value: str, *, place: Place = PLACE, committed: bool | None = None) -> None:
        """Puts a record into a log.

        Args:
            committed: how its transaction ended, for one that has come to its end.
        """
        sent = self.ledger.sent.get(value)
        is_transactional = sent is not None and sent.transaction is not None
        found = self.partition(place)
        found.records[offset] = Stored(
            value,
            sent.key if sent is not None else None,
            sent is not None and sent.is_tombstone,
            PRODUCER if is_transactional else -1,
            is_transactional,
        )
        if committed is not None:
            found.decided[offset] = committed
        elif is_transactional:
            found.first_open = min(offset, found.first_open if found.first_open is not None else offset)
        found.end = max(found.end, offset + 1)
        found.last_stable = found.end if found.first_open is None else found.first_open
        found.committed = {
            at: stored.value
            for at, stored in found.records.items()
            if at < found.last_stable and found.is_committed(at)
        }
