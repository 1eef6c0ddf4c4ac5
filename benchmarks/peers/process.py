"""A peer as a process: started in a folder of its own, waited for, and gone for sure at the end."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_READY_S: Final = 90
_STOP_S: Final = 30
_LOOK_S: Final = 0.05
_LOOPBACK: Final = "127.0.0.1"


class CannotHavePeer(Exception):
    """A peer can't be run on this machine; the message says why, in a sentence."""


def free_port() -> int:
    """Returns a port of loopback that nobody listens on now."""
    with socket.create_server((_LOOPBACK, 0)) as found:
        port: int = found.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    with contextlib.suppress(OSError), socket.create_connection((_LOOPBACK, port), timeout=1):
        return True
    return False


class Peer:
    """A running server of somebody else; ends with the `with`, and with this process however that ends.

    Args:
        name: as reports have it, with the version.
        address: HOST:PORT of its door.
        command: that becomes the server itself, so that signals and /proc are about that.
        folder: where it keeps what it writes; made if it is not there, and not removed.
        ready: whether it can be talked to, asked again and again.
        environment: beside this process's.
        settings: that it has beside its defaults, for reports.
    """

    def __init__(
        self,
        name: str,
        address: str,
        command: Sequence[str],
        folder: Path,
        ready: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.settings = dict(settings or {})
        self.address = address
        self._log = folder / "server.log"
        folder.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*_dies_with_us(), *command],
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait(ready)
        except BaseException:
            self.end()
            raise
        self.ready_after_s = time.perf_counter() - began

    @property
    def pid(self) -> int:
        """Of the server."""
        return self._process.pid

    def log(self) -> str:
        """Returns what it has printed."""
        return self._log.read_text(errors="replace")

    def end(self) -> None:
        """Asks it to end, and ends it and its children if it does not."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
        # Also when it has gone: its children may be there still, and are of its session.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _wait(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _READY_S
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise CannotHavePeer(f"{self.name} did not start; it last said: {self.log()[-1000:]}")
            time.sleep(_LOOK_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def _dies_with_us() -> list[str]:
    """Returns what has the kernel kill a process when this one is killed; nothing where that program is missing."""
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
