"""Examples run as a user runs them: a process each, talking to a real server."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Final

from logserver_client import AdminClient, Record, replay

from logserver.testing import LogServer

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = sorted(
    f"{folder}.{path.stem}"
    for folder in ("kafka_python", "confluent_kafka", "queues")
    for path in (ROOT / "examples" / folder).glob("[a-z]*.py")
)
TIMEOUT_S: Final = 40
# Unbuffered, a line and its end are written apart, and the lines of processes that share an output run together.
ENVIRONMENT: Final = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def door_option(name: str) -> str:
    """By which option an example is told where the server is."""
    return "--server" if name.startswith("queues.") else "--bootstrap-server"


def address(server: LogServer, name: str) -> list[str]:
    """The arguments of an example that say where the server is."""
    option = door_option(name)
    return [option, server.grpc if option == "--server" else server.kafka]


def command(server: LogServer, name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"examples.{name}", *arguments, *address(server, name)]


def run(server: LogServer, name: str, *arguments: str, code: int = 0, told: str = "") -> list[str]:
    """Runs an example to its end; returns the lines of its standard output.

    Args:
        code: what it has to exit with.
        told: what has to stand in its standard error, where no warning must be.
    """
    done = subprocess.run(
        command(server, name, *arguments),
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == code, f"{name} exited with {done.returncode}\n{done.stdout}{done.stderr}"
    assert told in done.stderr, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    return done.stdout.splitlines()


class Running:
    """An example while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        """What it has printed so far, as far as `read_until` has come."""
        self._process = process
        self._queue: Queue[str | None] = Queue()
        self._reader = Thread(target=self._read)
        self._reader.start()

    def read_until(self, enough: Callable[[str], bool]) -> str:
        """Reads lines until one is what is waited for, and returns it."""
        while True:
            try:
                line = self._queue.get(timeout=TIMEOUT_S)
            except Empty:
                raise AssertionError(f"what is waited for is not printed: {self.lines}") from None
            assert line is not None, f"it has ended: {self.lines}"
            self.lines.append(line)
            if enough(line):
                return line

    def read(self, count: int) -> list[str]:
        """Reads so many lines more."""
        start = len(self.lines)
        self.read_until(lambda _: len(self.lines) == start + count)
        return self.lines[start:]

    def stop(self, number: signal.Signals = signal.SIGINT) -> list[str]:
        """Asks it to end, by Ctrl-C or otherwise, which has to end it cleanly; returns all that it has printed."""
        self._process.send_signal(number)
        return self.finish(0)

    @contextmanager
    def held(self) -> Iterator[None]:
        """It does nothing while the block lasts."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> list[str]:
        """Kills it at once; returns all that it has printed."""
        self._process.kill()
        return self.finish(-signal.SIGKILL)

    def finish(self, code: int) -> list[str]:
        """Waits for its end; returns all that it has printed."""
        assert self._process.wait(TIMEOUT_S) == code
        self._reader.join()
        while (line := self._queue.get()) is not None:
            self.lines.append(line)
        return self.lines

    def close(self) -> None:
        """Ends it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)


@contextmanager
def running(server: LogServer, name: str, *arguments: str) -> Iterator[Running]:
    """Starts an example, which ends with the block at the latest."""
    process = subprocess.Popen(
        command(server, name, *arguments),
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    example = Running(process)
    try:
        yield example
    finally:
        example.close()


def make_topic(server: LogServer, topic: str, partitions: int = 3, **settings: str) -> str:
    """Makes a topic; returns its name."""
    with AdminClient(server.grpc) as admin:
        admin.create_topic(topic, partitions=partitions, settings=settings)
    return topic


def stored(server: LogServer, topic: str) -> list[Record[bytes, bytes]]:
    """All records of a topic, as the bundled client reads them: each partition in order."""
    return list(replay(server.grpc, topic))


def committed(server: LogServer, group: str, topic: str) -> dict[int, int]:
    """The committed offsets of a group, by partition."""
    with AdminClient(server.grpc) as admin:
        return {
            place.partition: found.offset
            for place, found in admin.committed_offsets(group).items()
            if place.topic == topic
        }
