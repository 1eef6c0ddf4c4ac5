"""Those who consume a queue: who may, and who gets something now."""

from logserver.coordinator.delivery.partition import QueuePartition
from logserver.coordinator.delivery.waiters import Waiter
from logserver.errors import ErrorCode, LogServerError


class Consumers:
    """The consumers of one queue, over all its partitions.

    Args:
        queue: its name, for messages.
    """

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._all: dict[Waiter, None] = {}
        self._exclusive: Waiter | None = None
        # In the order in which they came: the first is the active one.
        self._single: dict[Waiter, None] = {}

    def __len__(self) -> int:
        return len(self._all)

    def join(self, waiter: Waiter, *, exclusive: bool = False, single_active: bool = False) -> None:
        """Lets somebody consume; they wait nowhere yet, see `attach`.

        Args:
            exclusive: nobody else may, now and as long as they are there.
            single_active: only the first of those who say so gets anything.

        Raises:
            LogServerError: INVALID_REQUEST, somebody is exclusive.
        """
        if self._exclusive is not None:
            raise _refused(f"the queue {self._queue!r} has an exclusive consumer, {self._exclusive.owner!r}")
        if exclusive and self._all:
            raise _refused(f"the queue {self._queue!r} has {len(self._all)} consumers, so nobody can have it alone")
        self._all[waiter] = None
        if exclusive:
            self._exclusive = waiter
        if single_active:
            waiter.active = not self._single
            self._single[waiter] = None

    def leave(self, waiter: Waiter) -> None:
        """Ends that somebody consumes; fine if they do not. What they hold is theirs to give back."""
        waiter.leave()
        self._all.pop(waiter, None)
        if self._exclusive is waiter:
            self._exclusive = None
        if waiter in self._single:
            was_active = next(iter(self._single)) is waiter
            del self._single[waiter]
            if was_active and self._single:
                next(iter(self._single)).set_active(True)

    def attach(self, place: QueuePartition) -> None:
        """Lets all of them wait at a partition that is new."""
        for waiter in self._all:
            self.attach_one(waiter, place)

    def attach_one(self, waiter: Waiter, place: QueuePartition) -> None:
        """Lets one of them wait at a partition; fine if they do, or consume no more."""
        if waiter in self._all and place.dispatcher not in waiter.dispatchers:
            place.dispatcher.add(waiter)

    def cancel(self, reason: str) -> None:
        """Tells everybody that there will be nothing any more."""
        for waiter in tuple(self._all):
            self.leave(waiter)
            waiter.cancelled(reason)


def _refused(message: str) -> LogServerError:
    return LogServerError(ErrorCode.invalid_request, message)
