"""Differences that are as they should be; each names the row of docs/compatibility.md that says why."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from .compare import Difference

_PAGE: Final = Path(__file__).parents[2] / "docs" / "compatibility.md"


@dataclass(frozen=True, slots=True)
class Explained:
    """One kind of difference. Everything but the row is a shell pattern, in which `[` and `]` stand for themselves."""

    row: str
    """How the row begins, in its first column."""
    api: str
    fields: str
    kafka: str = "*"
    ours: str = "*"
    about: str = "*"
    """PART/LABEL of the requests."""

    def covers(self, difference: Difference) -> bool:
        """Whether it explains a difference."""
        pairs = (
            (self.api, difference.api),
            (self.fields, difference.field),
            (self.kafka, difference.kafka),
            (self.ours, difference.ours),
            (self.about, f"{difference.part}/{difference.label}"),
        )
        return all(_matches(pattern, text) for pattern, text in pairs)


def _matches(pattern: str, text: str) -> bool:
    return fnmatchcase(text, pattern.replace("[", "[[]"))


@dataclass(slots=True)
class Sorted:
    """Differences with and without explanation, and explanations that explain nothing."""

    explained: list[tuple[Explained, Difference]] = field(default_factory=list)
    unexplained: list[Difference] = field(default_factory=list)
    needless: list[Explained] = field(default_factory=list)


def sort(differences: Iterable[Difference], explanations: Sequence[Explained]) -> Sorted:
    """Finds an explanation for each difference."""
    found = Sorted()
    used: set[Explained] = set()
    for difference in differences:
        covering = [each for each in explanations if each.covers(difference)]
        used.update(covering)
        if covering:
            found.explained.append((covering[0], difference))
        else:
            found.unexplained.append(difference)
    found.needless = [each for each in explanations if each not in used]
    return found


def rows_without_place(explanations: Iterable[Explained], page: Path = _PAGE) -> list[str]:
    """Returns the rows that are named here and not in the page."""
    cells = {line.split("|")[1].strip() for line in page.read_text().splitlines() if line.startswith("| ")}
    return sorted({each.row for each in explanations} - cells)
