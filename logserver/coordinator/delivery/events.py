"""The story of records: who had them, what came of it, and why."""

from enum import Enum
from typing import NamedTuple


class EventKind(Enum):
    """What has happened to a range of records."""

    ACQUIRED = "acquired"
    ACKNOWLEDGED = "acknowledged"
    RELEASED = "released"
    FAILED = "failed"
    LAPSED = "lapsed"
    OWNER_GONE = "owner gone"
    EXTENDED = "extended"
    MOVING = "moving"
    MOVED = "moved"
    DROPPED = "dropped"
    PURGED = "purged"


class Event(NamedTuple):
    """One chapter: offsets with both ends inclusive, times in milliseconds, -1 where there is none."""

    kind: EventKind
    first: int
    last: int
    at_ms: int
    owner: str
    number: int
    acquisitions: int
    failures: int
    reason: str
    until_ms: int
    """When the lock ends, or when the record is due again."""


class Events:
    """Collects chapters; neighbours with the same story become one."""

    def __init__(self) -> None:
        self._found: list[Event] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def tell(self, event: Event) -> None:
        """Adds a chapter."""
        found = self._found
        if found:
            last = found[-1]
            if (
                last.last + 1 == event.first
                and last.kind is event.kind
                and last.at_ms == event.at_ms
                and last.number == event.number
                and last._replace(first=event.first, last=event.last) == event
            ):
                found[-1] = last._replace(last=event.last)
                return
        found.append(event)

    def take(self) -> list[Event]:
        """Returns what was told since the last time."""
        found, self._found = self._found, []
        return found
