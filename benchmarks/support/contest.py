"""Measuring several servers in turn, and what comes of it: medians, ratios pair by pair, cells of a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from benchmarks.support.numbers import Spread, spread
from benchmarks.support.output import last_line, progress

Found = TypeVar("Found")


@dataclass(slots=True)
class Rounds:
    """What each of several entrants did, a measurement a round."""

    runs: dict[str, list[Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Why an entrant is left out."""

    def values(self, name: str, of: Callable[[Any], float]) -> list[float]:
        """Returns a number of each round of an entrant; nothing if it was left out."""
        return [of(run) for run in self.runs.get(name, [])]

    def ratios(self, ours: str, theirs: str, of: Callable[[Any], float]) -> list[float]:
        """Returns ours by theirs, round by round; nothing if one of them was left out."""
        pairs = zip(self.values(ours, of), self.values(theirs, of), strict=False)
        return [our / their for our, their in pairs]

    def ratio(self, ours: str, theirs: str, of: Callable[[Any], float]) -> Spread | None:
        """Returns the spread of the ratios."""
        found = self.ratios(ours, theirs, of)
        return spread(found) if found else None


def in_turn(case: str, entrants: Mapping[str, Callable[[], Any]], rounds: int, *, must: Sequence[str] = ()) -> Rounds:
    """Measures A B A B: each entrant once a round.

    Args:
        case: told on standard error.
        must: entrants whose failure ends the benchmark; another one's leaves it out of the case.
    """
    found = Rounds()
    for number in range(rounds):
        for name, take in entrants.items():
            if name in found.failed:
                continue
            progress(f"{case}: {name}, round {number + 1} of {rounds}")
            try:
                run = take()
            except Exception as error:
                if name in must:
                    raise
                found.failed[name] = last_line(error)
                found.runs.pop(name, None)
                progress(f"{case}: {name} is left out: {found.failed[name]}")
            else:
                found.runs.setdefault(name, []).append(run)
    return found
