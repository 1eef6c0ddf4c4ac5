"""Inputs that are kept, and running a target so that what goes wrong is one."""

import hashlib
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from tests.fuzz.targets import TARGETS

CORPUS: Final = Path(__file__).parent / "corpus"
MOST_CPU_S: Final = 10.0
_MOST_MEMORY_BYTES: Final = 4 << 30


class Endless(Exception):
    """An input took too long."""


def keep(name: str, data: bytes) -> Path:
    """Writes an input to the corpus."""
    path = CORPUS / name / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def corpus(name: str) -> list[bytes]:
    """Returns good inputs of a target, and those that are kept."""
    kept = [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
    return [b"", b"\x00" * 40, *TARGETS[name].examples(), *kept]


def _ended(number: int, frame: FrameType | None) -> None:
    raise Endless(f"it took more than {MOST_CPU_S} s of the processor's time")


@contextmanager
def limited() -> Iterator[None]:
    """Lets an input have so much time and memory, and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, hard))
    before = signal.signal(signal.SIGVTALRM, _ended)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class Findings:
    """What a target has been found to do.

    Args:
        name: of the target.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._target = TARGETS[name].run
        self._seen: set[str] = set()
        self.executions = 0
        self.paths: list[Path] = []

    def execute(self, data: bytes) -> None:
        """Runs the target; keeps an input that raises at a place where none has before. Needs `limited`."""
        self.executions += 1
        signal.setitimer(signal.ITIMER_VIRTUAL, MOST_CPU_S)
        try:
            self._target(data)
        except Exception as error:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            place = f"{type(error).__name__} {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
            if isinstance(error, Endless):
                # Where it was just then is chance.
                place = "endless"
            if place not in self._seen:
                self._seen.add(place)
                self.paths.append(keep(self._name, data))
                print(f"{self._name}: {place}: {error!r:.200}: {self.paths[-1]}", flush=True)
