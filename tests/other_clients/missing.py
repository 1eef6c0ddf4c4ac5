"""Clients that a machine may lack: their tests are left out there, and the end of the run says which, and why.

`make other-clients` fetches them into build/other-clients; tests fetch nothing. With REQUIRE_ALL_CLIENTS=1, as in CI,
what is missing fails its tests.
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).parents[2] / "build" / "other-clients"
JARS: Final = FOLDER / "kafka-4.3.1"
KAFKAJS: Final = FOLDER / "kafkajs"

_MARK: Final = "left out: "


@dataclass(frozen=True)
class OtherClient:
    """A client that is no Python package.

    Args:
        name: as in a sentence, in the plural.
        programs: that have to be on the path.
        advice: where the programs come from.
        folder: what `make other-clients` fetches, if it fetches anything.
    """

    name: str
    programs: tuple[str, ...]
    advice: str
    folder: Path | None = None

    def need(self) -> None:
        """Leaves the test out, or fails it, where the client is missing."""
        absent = [program for program in self.programs if shutil.which(program) is None]
        if absent:
            reason = f"{self.name} need {' and '.join(absent)}, which this machine lacks: {self.advice}"
        elif self.folder is not None and not self.folder.is_dir():
            reason = f"{self.name} have not been fetched: run `make other-clients`"
        else:
            return
        if os.environ.get("REQUIRE_ALL_CLIENTS"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(_MARK + reason)


KAFKA_TOOLS: Final = OtherClient(
    "Apache Kafka's own tools",
    ("java", "javac"),
    "install a JDK of 17 or later and Maven, then run `make other-clients`",
    JARS,
)
KAFKAJS_CLIENTS: Final = OtherClient(
    "programs with KafkaJS", ("node",), "install Node.js 18 or later with npm, then run `make other-clients`", KAFKAJS
)
KCAT: Final = OtherClient("the tests with kcat", ("kcat",), "install it (`apt-get install kcat`)")


def sentences(skipped: Iterable[pytest.TestReport]) -> Iterator[str]:
    """Tells what the reports of skipped tests say was left out."""
    reasons = Counter(
        report.longrepr[2].partition(_MARK)[2]
        for report in skipped
        if isinstance(report.longrepr, tuple) and _MARK in report.longrepr[2]
    )
    for reason, count in sorted(reasons.items()):
        yield f"{count} {'test was' if count == 1 else 'tests were'} left out: {reason}."
