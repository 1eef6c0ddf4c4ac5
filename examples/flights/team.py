"""The worker processes of one group, and what is known about them from their journals."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from .journal import Journal

TIMEOUT_S: Final = 120
STOP_TIMEOUT_S: Final = 30
LOOK_EVERY_S: Final = 0.01


class WorkerError(Exception):
    """A worker ended that should not have, or did not end."""


class Member:
    """One worker process and its journal."""

    def __init__(self, folder: Path, name: str, address: str, topic: str, group: str) -> None:
        self.name = name
        self._errors = folder / f"{name}.log"
        path = folder / f"{name}.journal"
        path.touch()
        self.journal = Journal(path)
        command = [sys.executable, "-m", f"{__package__}.worker", address, topic, group, name, str(path)]
        with self._errors.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )

    def wait_until_ready(self) -> None:
        """Raises `WorkerError` if the process ends before it can join."""
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            raise self._ended()

    def begin(self) -> None:
        """Lets it join the group."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def check_alive(self) -> None:
        """Raises `WorkerError` if it has ended."""
        if self.process.poll() is not None:
            raise self._ended()

    def kill(self) -> None:
        """Ends it with SIGKILL, and reads its journal to the end."""
        self.process.kill()
        self._close()

    def stop(self) -> int:
        """Lets it finish and leave; returns its exit code. Raises `WorkerError` if it does not end."""
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise WorkerError(f"{self.name} did not end within {STOP_TIMEOUT_S} s of SIGTERM") from None
        return self._close()

    def _close(self) -> int:
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.journal.catch_up()
        return code

    def _ended(self) -> WorkerError:
        tail = self._errors.read_text(errors="replace").splitlines()[-20:]
        return WorkerError("\n".join([f"{self.name} has ended with {self.process.poll()}; the end of its log:", *tail]))


class Team:
    """So many workers, ended with the `with` block if not before."""

    def __init__(self, folder: Path, count: int, address: str, topic: str, group: str) -> None:
        folder.mkdir()
        self.members = [Member(folder, f"worker-{number + 1}", address, topic, group) for number in range(count)]
        self._running = list(self.members)

    def begin(self) -> None:
        """Lets all join together, once all are ready."""
        for member in self.members:
            member.wait_until_ready()
        for member in self.members:
            member.begin()

    @property
    def journals(self) -> Sequence[Journal]:
        """One for each member, living or dead."""
        return [member.journal for member in self.members]

    @property
    def count(self) -> int:
        """Records worked on."""
        return sum(journal.count for journal in self.journals)

    def catch_up(self) -> None:
        """Takes in what the journals say by now."""
        for journal in self.journals:
            journal.catch_up()

    def wait_for(self, what: str, holds: Callable[[], bool]) -> None:
        """Follows the journals until something holds. Raises `WorkerError`, `TimeoutError`."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while True:
            for member in self._running:
                member.check_alive()
            self.catch_up()
            if holds():
                return
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{what}: not within {TIMEOUT_S} s")
            time.sleep(LOOK_EVERY_S)

    def kill(self, member: Member) -> None:
        """Ends one member with SIGKILL."""
        self._running.remove(member)
        member.kill()

    def stop(self) -> bool:
        """Ends all with SIGTERM; returns whether each one ended cleanly."""
        codes = []
        while self._running:
            codes.append(self._running[-1].stop())
            self._running.pop()
        return not any(codes)

    def __enter__(self) -> "Team":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._running:
            self._running.pop().kill()
