"""What a state machine answers to a request: an answer, what has to be written for it, and who wants to know."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from logserver.coordinator.classic_requests import Reply
from logserver.coordinator.formats import Key, Value

T_co = TypeVar("T_co", covariant=True)


class Entry(NamedTuple):
    """One record for the coordinator's log; without a value it is a tombstone."""

    key: Key
    value: Value | None


class Wake(Enum):
    """Which members of a group have to look at their assignment again."""

    NOBODY = 0
    WAITING = 1
    """Those that wait for partitions which others had not given up yet."""
    ALL = 2


@dataclass(frozen=True, slots=True)
class Decision(Generic[T_co]):
    """The outcome of one request.

    The state has not changed yet: it does so by applying the entries, once they are in the log. The answer is for
    when they are durable.
    """

    answer: T_co
    entries: Sequence[Entry] = ()
    group: str = ""
    wake: Wake = Wake.NOBODY
    """Members of `group` to wake once the entries are applied."""
    replies: Sequence[Reply] = ()
    """Answers to requests that have waited, for when everything is durable."""
