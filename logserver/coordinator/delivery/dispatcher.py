"""Gives the records of one partition of a queue to those who wait for them, in turn; for all doors the same."""

from collections.abc import Callable

from logserver.coordinator.delivery.caution import Caution
from logserver.coordinator.delivery.engine import Engine
from logserver.coordinator.delivery.handles import Acquisition
from logserver.coordinator.delivery.waiters import Rotation, Waiter


class Dispatcher:
    """The rotation of one partition.

    Args:
        wanted: called when somebody could take records, so that `dispatch` is called soon.
        deliver: called with what somebody has acquired.
        batch_end: returns the last offset of the record batch that has an offset.
    """

    def __init__(
        self,
        engine: Engine,
        wanted: Callable[[], None],
        deliver: Callable[[Waiter, Acquisition], None],
        batch_end: Callable[[int], int] | None = None,
    ) -> None:
        self.engine = engine
        self._wanted = wanted
        self._deliver = deliver
        self._batch_end = batch_end
        self._rotation = Rotation()
        self._waiters: dict[Waiter, None] = {}

    def __len__(self) -> int:
        """Returns how many wait, for records or for credit."""
        return len(self._waiters)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody could take records now."""
        return len(self._rotation) > 0

    def add(self, waiter: Waiter) -> None:
        """Lets somebody wait here."""
        self._waiters[waiter] = None
        waiter.dispatchers.append(self)
        self.take_up(waiter)

    def take_up(self, waiter: Waiter) -> None:
        """Lets somebody take part in the rotation (again)."""
        if waiter in self._waiters:
            self._rotation.add(waiter)
            self._wanted()

    def remove(self, waiter: Waiter) -> None:
        """Lets somebody wait no more; see `Waiter.leave`."""
        self._waiters.pop(waiter, None)
        self._rotation.remove(waiter)

    def cancel(self, reason: str) -> None:
        """Tells everybody that there will be nothing any more."""
        for waiter in list(self._waiters):
            waiter.cancel(reason)

    def dispatch(self, now_ms: int) -> None:
        """Gives out what is ready, until there is nothing or nobody has room.

        Somebody gets as many at a time as all in the same line could get each, so that few records do not all go to
        whoever is first.
        """
        engine, rotation = self.engine, self._rotation
        while engine.has_ready() and (turn := rotation.pop()) is not None:
            waiter, beside = turn
            room = waiter.room()
            if room <= 0:
                continue
            share = -(-engine.offered_ready() // beside)
            found = engine.acquire(
                waiter.owner,
                min(room, share),
                waiter.max_bytes,
                waiter.lock_ms,
                waiter.settle,
                now_ms=now_ms,
                credits=waiter.credits,
                whole=self._batch_end if waiter.whole_batches else None,
                caution=Caution(engine.policy.limit) if waiter.cautious else None,
            )
            if not found.ranges:
                # What looked ready has gone to the dead letters.
                rotation.add(waiter)
                continue
            if waiter.took is not None:
                waiter.took(found)
            if waiter.once:
                waiter.leave()
            else:
                rotation.add(waiter)
            self._deliver(waiter, found)
