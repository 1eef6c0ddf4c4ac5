"""A server for all tests of a module, a topic for each test, and a server in a process that can be killed."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from types import TracebackType

import pytest
from logserver_client import AdminClient

from logserver.testing import LogServer

_numbers = count()


@pytest.fixture(scope="module")
def server() -> Iterator[LogServer]:
    with LogServer() as running:
        yield running


@pytest.fixture
def address(server: LogServer) -> str:
    return server.grpc


@pytest.fixture
def new_topic(address: str) -> Callable[..., str]:
    """Creates a topic of a name of its own: `new_topic(partitions, **settings)`, dots in names as underscores."""

    def create(partitions: int = 1, **settings: str | int) -> str:
        name = f"topic-{next(_numbers)}"
        with AdminClient(address) as admin:
            dotted = {setting.replace("_", "."): value for setting, value in settings.items()}
            admin.create_topic(name, partitions=partitions, settings=dotted)
        return name

    return create


@pytest.fixture
def topic(new_topic: Callable[..., str]) -> str:
    """A topic with one partition."""
    return new_topic()


class ServerProcess:
    """`logserver serve` in a process of its own, always on the same port and directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None
        self._log = (directory / "server.log").open("a")
        self.address = "127.0.0.1:0"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "logserver", "serve"),
                *("--data-dir", str(self._directory / "data"), "--grpc-listen", self.address, "--kafka-listen", "off"),
            ],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        assert ready.startswith("ready "), (self._directory / "server.log").read_text()
        self.address = next(word[5:] for word in ready.split() if word.startswith("grpc="))

    def kill(self) -> None:
        """Ends it by SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            with closing(self._process.stdout):  # type: ignore[type-var]
                self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.kill()
        self.start()

    def __enter__(self) -> "ServerProcess":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._log.close()


@pytest.fixture
def server_process(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path) as process:
        yield process
