"""Who waits for records, and how they take turns."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from logserver.coordinator.delivery.credits import Credit
from logserver.coordinator.delivery.handles import Acquisition

if TYPE_CHECKING:
    from logserver.coordinator.delivery.dispatcher import Dispatcher
    from logserver.coordinator.delivery.partition import QueuePartition

Deliver = Callable[["QueuePartition", Acquisition], None]
Cancelled = Callable[[str], None]


class Waiter:
    """Somebody who waits for records of one partition or several.

    Args:
        owner: who will hold them.
        deliver: called with what was acquired, and of which partition; also once more after leaving, if that was under
            way.
        cancelled: called once when there will be nothing any more, with a sentence that says why.
        lock_ms: how long locks last; None as long as the owner is there.
        settle: whether records are acknowledged as they are acquired.
        priority: who has a higher one is served as long as they have credit.
        credits: counters that have to allow a record each.
        max_records, max_bytes: at most so much at a time.
        once: whether to stop waiting with the first delivery.
        whole_batches: whether to take more than that up to the end of a record batch of which some is taken.
        cautious: whether records that were delivered often come without others, see `Caution`.
        took: called with what was acquired as soon as it is, perhaps some time before it is delivered.
        active: whether to take part at all now; see `set_active`.
    """

    def __init__(
        self,
        owner: str,
        deliver: Deliver,
        cancelled: Cancelled,
        *,
        lock_ms: int | None = None,
        settle: bool = False,
        priority: int = 0,
        credits: tuple[Credit, ...] = (),
        max_records: int = 500,
        max_bytes: int = 1 << 20,
        once: bool = False,
        whole_batches: bool = False,
        cautious: bool = False,
        took: Callable[[Acquisition], None] | None = None,
        active: bool = True,
    ) -> None:
        self.owner = owner
        self.deliver = deliver
        self.cancelled = cancelled
        self.lock_ms = lock_ms
        self.settle = settle
        self.priority = priority
        self.credits = credits
        self.max_records = max_records
        self.max_bytes = max_bytes
        self.once = once
        self.whole_batches = whole_batches
        self.cautious = cautious
        self.took = took
        self.active = active
        self.paused = False
        self.dispatchers: list[Dispatcher] = []

    def room(self) -> int:
        """Returns how many records it may be given now; if none, it will hear when that changes."""
        room = self.max_records
        for credit in self.credits:
            free = credit.free
            if free is not None and free < room:
                if free <= 0:
                    credit.blocked[self] = None
                    return 0
                room = free
        return room if self.active and not self.paused else 0

    def unblocked(self) -> None:
        """Takes part again, because a credit has changed."""
        for dispatcher in self.dispatchers:
            dispatcher.take_up(self)

    def set_active(self, active: bool) -> None:
        """Takes part in the rotation, or rests until it is made active again (single active consumer)."""
        self.active = active
        if active:
            self.unblocked()

    def pause(self) -> None:
        """Takes nothing until `resume`: what came already is too much."""
        self.paused = True

    def resume(self) -> None:
        """Takes part in the rotation again; fine if it does."""
        if self.paused:
            self.paused = False
            self.unblocked()

    def set_credits(self, credits: tuple[Credit, ...]) -> None:
        """Counts for other counters from now on; what is held goes on counting for the old ones."""
        for credit in self.credits:
            credit.blocked.pop(self, None)
        self.credits = credits
        self.unblocked()

    def leave(self) -> None:
        """Stops waiting; what is held stays held."""
        for credit in self.credits:
            credit.blocked.pop(self, None)
        for dispatcher in self.dispatchers:
            dispatcher.remove(self)
        self.dispatchers = []

    def cancel(self, reason: str) -> None:
        """Stops waiting, and hears why."""
        self.leave()
        self.cancelled(reason)


class Rotation:
    """Those who could take a record now, by priority; within one, each in turn."""

    def __init__(self) -> None:
        self._lines: dict[int, deque[Waiter]] = {}
        self._priorities: list[int] = []
        self._inside: set[Waiter] = set()

    def __len__(self) -> int:
        return len(self._inside)

    def add(self, waiter: Waiter) -> None:
        """Puts one at the end of its line; fine if it is there."""
        if waiter in self._inside:
            return
        line = self._lines.get(waiter.priority)
        if line is None:
            line = self._lines[waiter.priority] = deque()
            self._priorities = sorted(self._lines, reverse=True)
        line.append(waiter)
        self._inside.add(waiter)

    def remove(self, waiter: Waiter) -> None:
        """Takes one out; fine if it is not there."""
        if waiter in self._inside:
            self._inside.discard(waiter)
            self._lines[waiter.priority].remove(waiter)
            self._drop_empty(waiter.priority)

    def pop(self) -> tuple[Waiter, int] | None:
        """Takes out the next, and says how many are in its line with it."""
        if not self._inside:
            return None
        priority = self._priorities[0]
        line = self._lines[priority]
        waiter = line.popleft()
        beside = len(line) + 1
        self._inside.discard(waiter)
        self._drop_empty(priority)
        return waiter, beside

    def _drop_empty(self, priority: int) -> None:
        if not self._lines[priority]:
            del self._lines[priority]
            self._priorities = sorted(self._lines, reverse=True)
