"""Many runs, in processes of their own: there the order of sets, too, follows from the seed alone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from select import select
from threading import local
from typing import Any, Final, cast

from logserver.simulation.ledger import Violation
from logserver.simulation.run import Outcome

ENVIRONMENT: Final = {"PYTHONHASHSEED": "0"}
_MOST_RUN_S: Final = 600.0
"""Of real time. A run takes some seconds; one that is under way for so long goes round in circles, and no virtual
time passes that would end it."""
_MOST_END_S: Final = 10.0


class RunFailed(Exception):
    """A process of the simulation ended, or the simulation itself has a fault."""


class _Endless(Exception):
    """A run was under way for too long."""


class _Process:
    """A process that runs one seed after the other."""

    def __init__(self) -> None:
        # Found as here, however this process came to its modules; -P: and nothing else in the working directory.
        path = os.pathsep.join(path for path in sys.path if path)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "logserver.simulation"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **ENVIRONMENT, "PYTHONPATH": path},
            text=True,
            # Ctrl-C at the terminal is for the command, which then ends this one.
            start_new_session=True,
        )

    def run(self, seed: int, most_s: float) -> Outcome:
        """Runs a seed.

        Raises:
            RunFailed: the process ended.
            _Endless: it was under way for so many seconds; the process has told where, and is no more.
        """
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(f"{seed}\n")
            stdin.flush()
            # Nothing of an answer before is left in the buffer, and an answer comes as a whole.
            if not select((stdout,), (), (), most_s)[0]:
                self._interrupt()
                raise _Endless
            line = stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise RunFailed(f"the process of seed {seed} ended with {self.process.wait()}; what it wrote says why")
        return Outcome(**cast(dict[str, Any], json.loads(line)))

    def _interrupt(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(_MOST_END_S)
        except subprocess.TimeoutExpired:
            self.close()

    def close(self) -> None:
        """Ends the process, whatever it does."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def run_seeds(first: int, count: int, jobs: int, most_s: float = _MOST_RUN_S) -> Iterator[Outcome]:
    """Runs seeds, several at a time, and yields what came of each, in the order in which they end.

    Args:
        most_s: a run that takes longer, in seconds of real time, is ended and counts as a violation.

    Raises:
        RunFailed: a run did not come to its end.
    """
    mine = local()
    processes: list[_Process] = []

    def run(seed: int) -> Outcome:
        process: _Process | None = getattr(mine, "process", None)
        if process is None:
            process = mine.process = _Process()
            processes.append(process)
        try:
            return process.run(seed, most_s)
        except _Endless:
            del mine.process
            text = f"it has not ended after {most_s:g} s; where it was is on standard error"
            return Outcome(seed, most_s, violation=str(Violation("endless run", text)))

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for future in as_completed([pool.submit(run, seed) for seed in range(first, first + count)]):
                yield future.result()
        finally:
            for process in processes:
                process.process.kill()
            pool.shutdown(cancel_futures=True)
            for process in processes:
                process.close()
