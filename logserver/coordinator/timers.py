"""Deadlines by key, cheap to move: a heartbeat moves one, and hardly any of them is ever reached."""

from heapq import heappop, heappush

TimerKey = tuple[str, ...]


class Timers:
    """Deadlines in milliseconds.

    The heap holds at most one current entry a key; one whose deadline has moved back since is put in again when it
    comes up, so that moving a deadline back costs one assignment.
    """

    def __init__(self) -> None:
        self._deadlines: dict[TimerKey, int] = {}
        self._queued: dict[TimerKey, int] = {}
        self._heap: list[tuple[int, TimerKey]] = []

    def __len__(self) -> int:
        return len(self._deadlines)

    def deadline(self, key: TimerKey) -> int | None:
        """Returns when a key is due, None if it isn't set."""
        return self._deadlines.get(key)

    def set(self, key: TimerKey, deadline_ms: int) -> None:
        """Sets or moves a deadline."""
        self._deadlines[key] = deadline_ms
        queued = self._queued.get(key)
        if queued is None or deadline_ms < queued:
            self._queued[key] = deadline_ms
            heappush(self._heap, (deadline_ms, key))

    def cancel(self, key: TimerKey) -> None:
        """Takes a deadline back; fine if there is none."""
        self._deadlines.pop(key, None)

    def shift(self, by_ms: int) -> None:
        """Moves all deadlines, because the clock was set."""
        self._deadlines = {key: at + by_ms for key, at in self._deadlines.items()}
        self._queued = {key: at + by_ms for key, at in self._queued.items()}
        # All by the same: it stays a heap.
        self._heap = [(at + by_ms, key) for at, key in self._heap]

    def clear(self) -> None:
        """Takes all deadlines back."""
        self._deadlines.clear()
        self._queued.clear()
        self._heap.clear()

    @property
    def next_ms(self) -> int | None:
        """When to look at `due` again: at the first deadline, or a little before. None if there is none."""
        heap = self._heap
        while heap:
            at, key = heap[0]
            if self._queued.get(key) == at and key in self._deadlines:
                return at
            heappop(heap)
            if self._queued.get(key) == at:
                del self._queued[key]
        return None

    def due(self, now_ms: int) -> list[TimerKey]:
        """Returns the keys whose time has come, in order of their deadlines, and forgets them."""
        found = []
        heap = self._heap
        while heap and heap[0][0] <= now_ms:
            at, key = heappop(heap)
            if self._queued.get(key) != at:
                continue
            del self._queued[key]
            deadline = self._deadlines.get(key)
            if deadline is None:
                continue
            if deadline <= now_ms:
                del self._deadlines[key]
                found.append(key)
            else:
                self._queued[key] = deadline
                heappush(heap, (deadline, key))
        return found
