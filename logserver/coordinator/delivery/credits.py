"""How many records somebody may hold at a time; several who wait may share one counter."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logserver.coordinator.delivery.waiters import Waiter


class Credit:
    """A counter of records that are held.

    Args:
        limit: at most so many at a time; None if any number may be.
    """

    __slots__ = ("blocked", "limit", "used")

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.used = 0
        self.blocked: dict[Waiter, None] = {}
        """Who goes on when something is given back."""

    @property
    def free(self) -> int | None:
        """How many more there may be, None if any number."""
        return None if self.limit is None else self.limit - self.used

    def give_back(self, records: int) -> None:
        """Takes note that so many are held no more."""
        self.used -= records
        if self.blocked:
            self.wake()

    def change(self, limit: int | None) -> None:
        """Changes the limit; what is held already stays held."""
        self.limit = limit
        self.wake()

    def wake(self) -> None:
        """Lets those who were short of credit try again."""
        blocked, self.blocked = self.blocked, {}
        for waiter in blocked:
            waiter.unblocked()
