"""A bound on how many files and mappings are open at once."""

from collections import deque
from typing import Generic, TypeVar

R = TypeVar("R")


class Slot(Generic[R]):
    """Holds a resource that its pool may take back at any time."""

    __slots__ = ("pooled", "resource", "used")

    def __init__(self) -> None:
        self.resource: R | None = None
        self.used = False
        self.pooled = False


class Pool(Generic[R]):
    """Keeps at most `limit` resources in slots; takes back one not used lately when another comes in.

    Least recently used by second chance: using a resource only sets a flag, because that is what the hot path does.
    A resource taken back is let go, not closed: whoever still works with it keeps it alive.
    """

    def __init__(self, limit: int) -> None:
        assert limit > 0
        self._limit = limit
        self._slots: deque[Slot[R]] = deque()
        self._held = 0

    def __len__(self) -> int:
        return self._held

    def put(self, slot: Slot[R], resource: R) -> R:
        """Puts a resource into its empty slot, taking back another one if there are too many."""
        assert slot.resource is None
        while self._held >= self._limit:
            self._take_one_back()
        if len(self._slots) > 2 * self._held + 64:
            self._forget_empty_slots()
        slot.resource = resource
        slot.used = True
        self._held += 1
        if not slot.pooled:
            slot.pooled = True
            self._slots.append(slot)
        return resource

    def drop(self, slot: Slot[R]) -> None:
        """Lets go of a slot's resource, if it has one."""
        if slot.resource is not None:
            slot.resource = None
            self._held -= 1

    def _take_one_back(self) -> None:
        while True:
            slot = self._slots.popleft()
            if slot.resource is None:
                slot.pooled = False
            elif slot.used:
                slot.used = False
                self._slots.append(slot)
            else:
                slot.pooled = False
                slot.resource = None
                self._held -= 1
                return

    def _forget_empty_slots(self) -> None:
        for slot in self._slots:
            slot.pooled = slot.resource is not None
        self._slots = deque(slot for slot in self._slots if slot.pooled)
