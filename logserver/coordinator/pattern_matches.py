"""Which topics each pattern matches, kept so that no name is matched twice with the same pattern."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from logserver.coordinator.regex import compile_pattern

_MOST_PATTERNS: Final = 10_000
_MOST_MATCHES: Final = 1_000_000
"""Names over all patterns that are kept, eight bytes each."""
_LEAST_CHANGES: Final = 1_000
"""Names that have come or gone which are always remembered, however few there are now."""


class _Found(NamedTuple):
    """What a pattern matches among the names of a version."""

    version: int
    matched: Sequence[str]


class _Change(NamedTuple):
    """What has led to a version."""

    added: frozenset[str]
    gone: frozenset[str]


class Todo(NamedTuple):
    """What is missing to know the names that a pattern matches."""

    pattern: str
    version: int
    """Of the names."""
    kept: Sequence[str]
    """Names that are known to match."""
    new: Sequence[str]
    """Names that have not been matched yet."""


class PatternMatches:
    """Matches of patterns among names that come and go. Bounded: what was not asked for the longest is forgotten.

    Args:
        names: returns those that there are now.
    """

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._source = names
        self._names: frozenset[str] = frozenset()
        self._is_stale = True
        self._version = 0
        # The changes that have led to the last versions, the newest one at the end.
        self._changes: deque[_Change] = deque()
        self._changed_names = 0
        self._found: OrderedDict[str, _Found] = OrderedDict()
        self._matches = 0

    def names_changed(self) -> None:
        """Says that names have come or gone."""
        self._is_stale = True

    def todo(self, pattern: str) -> Todo | None:
        """Returns what is missing to know which names a pattern matches; None if it is known."""
        self._look()
        found = self._found.get(pattern)
        age = self._version - found.version if found is not None else 0
        if found is None or age > len(self._changes):
            return Todo(pattern, self._version, (), tuple(self._names))
        if not age:
            return None
        changes = [self._changes[-number] for number in range(1, age + 1)]
        touched = frozenset().union(*(names for change in changes for names in change))
        kept = [name for name in found.matched if name not in touched]
        return Todo(pattern, self._version, kept, [name for name in touched if name in self._names])

    def take(self, todo: Todo, matched: Iterable[str]) -> None:
        """Takes in which of the new names of a `todo` its pattern matches."""
        before = self._found.get(todo.pattern)
        if before is not None:
            if before.version > todo.version:
                return
            self._matches -= len(before.matched)
        found = self._found[todo.pattern] = _Found(todo.version, tuple(sorted((*todo.kept, *matched))))
        self._matches += len(found.matched)
        self._found.move_to_end(todo.pattern)
        while len(self._found) > 1 and (len(self._found) > _MOST_PATTERNS or self._matches > _MOST_MATCHES):
            self._matches -= len(self._found.popitem(last=False)[1].matched)

    def matching(self, pattern: str) -> tuple[str, ...]:
        """Returns the names that a pattern matches, sorted; matches those that have not been yet.

        Raises:
            LogServerError: INVALID_REGULAR_EXPRESSION.
        """
        todo = self.todo(pattern)
        if todo is not None:
            self.take(todo, match(pattern, todo.new))
        self._found.move_to_end(pattern)
        return tuple(self._found[pattern].matched)

    def _look(self) -> None:
        """Takes in that names have come or gone."""
        if not self._is_stale:
            return
        self._is_stale = False
        names = frozenset(self._source())
        change = _Change(names - self._names, self._names - names)
        if not change.added and not change.gone:
            return
        self._names = names
        self._version += 1
        self._changes.append(change)
        self._changed_names += len(change.added) + len(change.gone)
        while self._changed_names > max(len(names), _LEAST_CHANGES):
            oldest = self._changes.popleft()
            self._changed_names -= len(oldest.added) + len(oldest.gone)


def match(pattern: str, names: Iterable[str]) -> list[str]:
    """Returns the names that a pattern matches; slow for some patterns, but it lets go of the GIL.

    Raises:
        LogServerError: INVALID_REGULAR_EXPRESSION.
    """
    compiled = compile_pattern(pattern)
    return [name for name in names if compiled.matches(name)]
