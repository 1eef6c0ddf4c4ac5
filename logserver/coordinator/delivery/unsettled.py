"""The records of a partition that somebody has had and that are not settled yet, as ranges that are alike.

What they cost follows how many there are, and not how far they are apart: offsets come in pages, a page is a short
sorted list, and no range goes over the end of its page.
"""

from bisect import bisect_right, insort
from collections.abc import Iterator
from enum import IntEnum
from operator import attrgetter
from typing import Final

from logserver.coordinator.delivery.credits import Credit
from logserver.coordinator.delivery.moves import Move

PAGE_BITS: Final = 10

NOBODY: Final = ""
"""Owner of a lock that only time ends."""

NEVER: Final = -1

_first = attrgetter("first")


class State(IntEnum):
    """What becomes of a record next."""

    READY = 0
    """Somebody may have it."""
    DELAYED = 1
    """Somebody may have it when its time has come."""
    HELD = 2
    """Somebody has it."""
    MOVING = 3
    """It is on its way to another topic."""


class Delivery:
    """A range of records of one page that have the same story: both ends inclusive, times in milliseconds."""

    __slots__ = (
        "acquisitions",
        "credits",
        "failures",
        "first",
        "first_ms",
        "last",
        "last_ms",
        "move",
        "number",
        "owner",
        "redelivered",
        "size",
        "sort_key",
        "state",
        "together",
        "until_ms",
    )

    def __init__(self, first: int, last: int, state: State, size: int) -> None:
        self.first = first
        self.last = last
        self.state = state
        self.size = size
        """Bytes, as far as known."""
        self.number = NEVER
        """Of the last acquisition."""
        self.owner = NOBODY
        self.credits: tuple[Credit, ...] = ()
        """Where to give back when it is held no more."""
        self.until_ms = NEVER
        """HELD: when the lock ends, NEVER if with its owner. DELAYED: when it is due."""
        self.acquisitions = 0
        self.failures = 0
        self.first_ms = NEVER
        self.last_ms = NEVER
        self.redelivered = False
        """Somebody may have had it before."""
        self.move: Move | None = None
        self.sort_key = (first, 0)
        """READY: its place among those."""
        self.together = last - first + 1
        """How many records it had before some were cut off."""

    def __repr__(self) -> str:
        return f"<{self.first}..{self.last} {self.state.name} acquired {self.acquisitions} failed {self.failures}>"

    @property
    def records(self) -> int:
        return self.last - self.first + 1

    def cut(self, first: int) -> "Delivery":
        """Returns a new one for what begins at `first`, and keeps what is before."""
        rest = Delivery(first, self.last, self.state, 0)
        rest.size = self.size * rest.records // self.records
        self.size -= rest.size
        self.last = first - 1
        rest.number, rest.owner, rest.credits = self.number, self.owner, self.credits
        rest.until_ms = self.until_ms
        rest.acquisitions, rest.failures = self.acquisitions, self.failures
        rest.first_ms, rest.last_ms = self.first_ms, self.last_ms
        rest.redelivered = self.redelivered
        rest.move = self.move
        rest.together = self.together
        rest.sort_key = (first, 0) if self.sort_key == (self.first, 0) else self.sort_key
        return rest


class Unsettled:
    """Deliveries by their offsets."""

    __slots__ = ("_count", "_lowest", "_pages")

    def __init__(self) -> None:
        self._pages: dict[int, list[Delivery]] = {}
        # No page below this one is there.
        self._lowest = 0
        self._count = 0

    def __len__(self) -> int:
        """Returns how many ranges there are."""
        return self._count

    def add(self, delivery: Delivery) -> None:
        """Adds one, which overlaps with none and is within a page."""
        number = delivery.first >> PAGE_BITS
        page = self._pages.get(number)
        if page is None:
            if number < self._lowest or not self._pages:
                self._lowest = number
            self._pages[number] = [delivery]
        elif delivery.first > page[-1].last:
            page.append(delivery)
        else:
            insort(page, delivery, key=_first)
        self._count += 1

    def remove(self, delivery: Delivery) -> None:
        """Removes one."""
        number = delivery.first >> PAGE_BITS
        page = self._pages[number]
        if len(page) == 1:
            del self._pages[number]
        else:
            del page[bisect_right(page, delivery.first, key=_first) - 1]
        self._count -= 1

    def find(self, offset: int) -> Delivery | None:
        """Returns the one with an offset."""
        page = self._pages.get(offset >> PAGE_BITS)
        if page is None:
            return None
        if len(page) == 1:
            found = page[0]
        else:
            index = bisect_right(page, offset, key=_first) - 1
            if index < 0:
                return None
            found = page[index]
        return found if found.first <= offset <= found.last else None

    def cut(self, delivery: Delivery, first: int) -> Delivery:
        """Cuts one in two; returns the second, which begins at `first`."""
        rest = delivery.cut(first)
        self.add(rest)
        return rest

    def lowest(self) -> Delivery | None:
        """Returns the first one."""
        pages = self._pages
        if not pages:
            return None
        if self._lowest not in pages:
            # Few pages over a wide field are quicker asked themselves.
            number = self._lowest
            for _ in range(len(pages)):
                number += 1
                if number in pages:
                    break
            else:
                number = min(pages)
            self._lowest = number
        return pages[self._lowest][0]

    def within(self, first: int, last: int) -> Iterator[Delivery]:
        """Yields those with offsets in a range, in order. The one yielded last may be changed or removed meanwhile."""
        pages = self._pages
        for number in self._page_numbers(first >> PAGE_BITS, last >> PAGE_BITS):
            page = pages[number]
            begin = max(bisect_right(page, first, key=_first) - 1, 0)
            for delivery in page[begin : bisect_right(page, last, key=_first)]:
                if delivery.last >= first:
                    yield delivery

    def _page_numbers(self, first: int, last: int) -> list[int]:
        if last - first < len(self._pages):
            return [number for number in range(first, last + 1) if number in self._pages]
        return sorted(number for number in self._pages if first <= number <= last)

    def __iter__(self) -> Iterator[Delivery]:
        for number in sorted(self._pages):
            yield from tuple(self._pages[number])
