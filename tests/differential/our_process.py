"""This server as a process, started as users start it, in a folder that goes at the end."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_STOP_SECONDS: Final = 20


class OurProcess:
    """A server that runs inside a `with`.

    Args:
        folder: for its data and log; made, and removed when it has stopped.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self._folder = folder
        self._settings = dict(settings)
        self._process: subprocess.Popen[str] | None = None
        self.address = ""
        """HOST:PORT."""

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        command = [sys.executable, "-m", "logserver", "serve", "--data-dir", str(self._folder / "data")]
        command += ["--grpc-listen", "127.0.0.1:0", "--kafka-listen", "127.0.0.1:0"]
        for name, value in self._settings.items():
            command += ["--set", f"{name}={value}"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LOGSERVER_")}
        with (self._folder / "server.log").open("w") as log:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        if not ready.startswith("ready "):
            said = self.log()
            self._stop()
            raise RuntimeError(f"the server did not start; it last said: {said[-1000:]}")
        self.address = dict(item.split("=", 1) for item in ready.split()[1:])["kafka"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def log(self) -> str:
        """Returns its log lines."""
        return (self._folder / "server.log").read_text(errors="replace")

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)
