"""One benchmark after the other, each a process of its own: what is left, what fails, what ends it."""

import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.support.machine import child_environment
from benchmarks.support.pages import Document

_MINUTE_S: Final = 60
_LEAST_LIMIT_S: Final = 1200
_TIMES_EXPECTED: Final = 4
_STOP_S: Final = 90


class BenchmarkFailed(Exception):
    """A benchmark has no document; the message is the last thing that it said."""


class Estimate:
    """How long what is left will take: what is expected, by how that was met so far.

    Args:
        minutes: that each benchmark is expected to take.
    """

    def __init__(self, minutes: Mapping[str, float]) -> None:
        self._minutes = minutes
        self._expected = self._taken = 0.0

    def of(self, names: Sequence[str]) -> float:
        """Returns the minutes for these."""
        pace = self._taken / self._expected if self._expected else 1.0
        return sum(self._minutes[name] for name in names) * pace

    def took(self, name: str, minutes: float) -> None:
        """Notes that one has ended."""
        self._expected += self._minutes[name]
        self._taken += minutes


def limit_s(minutes: float) -> float:
    """Returns after how long a benchmark hangs that is expected to take so many minutes."""
    return max(minutes * _MINUTE_S * _TIMES_EXPECTED, _LEAST_LIMIT_S)


def run_one(name: str, arguments: Sequence[str], timeout_s: float = _LEAST_LIMIT_S) -> Document:
    """Returns the document of one benchmark; what it says meanwhile goes to standard error.

    Also if some of its cases failed, which the document says.

    Raises:
        BenchmarkFailed: it ended without a document, or did not end in time.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{name}", "--json", *arguments],
        env=child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = deque[str](maxlen=1)
    passing = threading.Thread(target=_pass_on, args=(process, said))
    began = time.monotonic()
    # It ends what it has started when it is asked to end, and not when it is killed.
    timer = threading.Timer(timeout_s, process.terminate)
    timer.daemon = True
    timer.start()
    passing.start()
    assert process.stdout is not None
    try:
        output = process.stdout.read()
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait(_STOP_S)
        raise
    finally:
        timer.cancel()
        passing.join()
        process.stdout.close()
    if not output:
        hung = f"it did not end within {timeout_s:,.0f} s; " if time.monotonic() - began >= timeout_s else ""
        raise BenchmarkFailed(f"{hung}status {status}, it last said: {''.join(said).strip()}")
    document: dict[str, Any] = json.loads(output)
    return document


def _pass_on(process: "subprocess.Popen[str]", said: deque[str]) -> None:
    assert process.stderr is not None
    with process.stderr as lines:
        for line in lines:
            sys.stderr.write(line)
            sys.stderr.flush()
            if line.strip():
                said.append(line)
