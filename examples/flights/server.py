"""The server of the demonstration: `logserver serve` as a process of its own, which can be killed."""

import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final

START_TIMEOUT_S: Final = 60
STOP_TIMEOUT_S: Final = 20


class ServerError(Exception):
    """The server did not start, or did not end."""


class Server:
    """A server process on one data directory, with some settings that are not the defaults.

    The first start picks a free port, and later ones take the same.
    """

    def __init__(self, data_dir: Path, log: Path, settings: Mapping[str, str]) -> None:
        self.address = "127.0.0.1:0"
        self._data_dir = data_dir
        self._log = log
        self._settings = [f"--set={name}={value}" for name, value in settings.items()]
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> float:
        """Starts the process and waits until it says that it is ready. Returns the seconds that took.

        Raises `ServerError`, with the end of the server's log, if it is not ready within a minute.
        """
        command = [sys.executable, "-m", "logserver", "serve", "--data-dir", str(self._data_dir)]
        command += ["--grpc-listen", self.address, "--kafka-listen", "off", *self._settings]
        began = time.monotonic()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        self.address = self._ready_address(self._process)
        return time.monotonic() - began

    def kill(self) -> None:
        """Ends the process with SIGKILL, as a power cut would end it: nothing is flushed, closed or said."""
        process = self._running()
        process.kill()
        process.wait()
        self._close(process)

    def stop(self) -> int:
        """Ends the process with SIGTERM and returns its exit code. Raises `ServerError` if it does not end."""
        process = self._running()
        process.terminate()
        try:
            code = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"The server did not end within {STOP_TIMEOUT_S} s of SIGTERM") from None
        self._close(process)
        return code

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise ServerError("The server is not running")
        return self._process

    def _close(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is not None:
            process.stdout.close()
        self._process = None

    def _ready_address(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline() if selector.select(START_TIMEOUT_S) else ""
        word, *fields = line.split() or [""]
        doors = dict(field.split("=", 1) for field in fields)
        if word != "ready" or "grpc" not in doors:
            tail = self._log.read_text(errors="replace").splitlines()[-20:]
            raise ServerError(
                "\n".join([f"The server did not get ready (it said {line!r}); the end of its log:", *tail])
            )
        return doors["grpc"]
