"""Servers and clients as processes of their own, as in life."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

from benchmarks.support.machine import child_environment
from benchmarks.support.worker import CANNOT, CannotDo

START_TIMEOUT_S: Final = 120
STOP_TIMEOUT_S: Final = 60


class ProcessFailed(Exception):
    """A process did not start, or ended by itself; the message has the end of what it said."""


class _Process:
    """A process of ours with pipes for input and output; what it says on standard error is kept in a file."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self._arguments = tuple(arguments)
        self._log = log
        self.process = self._started()

    def _started(self) -> "subprocess.Popen[str]":
        with self._log.open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=child_environment(),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def read_line(self, timeout_s: float) -> str:
        """Returns its next line.

        Raises:
            ProcessFailed: it ended, or said nothing in time and was killed.
        """
        # Waiting on the pipe itself would miss a line that is already in the reader's buffer.
        timer = threading.Timer(timeout_s, self.process.kill)
        timer.daemon = True
        try:
            timer.start()
            line = self.output.readline()
        finally:
            timer.cancel()
        if not line:
            # Whoever looks next is to see that it has ended.
            self.kill()
            tail = self._log.read_text(errors="replace").splitlines()[-20:]
            raise ProcessFailed("\n".join([f"no answer from {self.process.args!r}, the end of its log:", *tail]))
        return line

    def end(self) -> None:
        """Ends it with SIGTERM, and with SIGKILL if that does not help in time."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self._close()

    def kill(self) -> None:
        """Ends it with SIGKILL, as a power cut would: nothing is flushed or closed."""
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


class Server(_Process):
    """A server that says `ready grpc=HOST:PORT`."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        began = time.perf_counter()
        super().__init__(arguments, log)
        try:
            word, *fields = self.read_line(START_TIMEOUT_S).split()
            self.ready_after_s = time.perf_counter() - began
            """From the start of the process to the line."""
            if word != "ready":
                raise ProcessFailed(f"the server said {word!r} instead of ready")
            addresses = dict(field.split("=", 1) for field in fields)
            self.address = addresses["grpc"]
            self.kafka = addresses.get("kafka", "")
            """Empty if that door is closed."""
        except BaseException:
            self.kill()
            raise


def log_server(
    data_dir: Path, log: Path, settings: Mapping[str, str] | None = None, *, with_kafka: bool = False
) -> Server:
    """Starts a log server on free ports, with or without its Kafka door, and returns when it is ready."""
    arguments = ["-m", "logserver", "serve", "--data-dir", str(data_dir), "--grpc-listen", "127.0.0.1:0"]
    arguments += ["--kafka-listen", "127.0.0.1:0" if with_kafka else "off"]
    for name, value in (settings or {}).items():
        arguments += ["--set", f"{name}={value}"]
    return Server(arguments, log)


def bare_server(data_dir: Path, log: Path) -> Server:
    """Starts the bare gRPC server and returns when it is ready."""
    data_dir.mkdir(parents=True, exist_ok=True)
    return Server(["-m", "benchmarks.bare.server", "--directory", str(data_dir)], log)


class Worker(_Process):
    """A process that takes jobs and answers them, one JSON line each: see `benchmarks.support.worker`."""

    def __init__(self, module: str, log: Path) -> None:
        super().__init__(["-m", module], log)

    def ask(self, job: Mapping[str, Any], timeout_s: float) -> Any:
        """Has a job done and returns the answer.

        Raises:
            ProcessFailed: the worker ended, or took longer.
            CannotDo: it says that it can't be done.
        """
        self.begin(job)
        return self.answer(timeout_s)

    def restart(self) -> None:
        """Has another process in its place: one that waits for what will not come, or has ended."""
        self.kill()
        self.process = self._started()

    @contextmanager
    def unless_it_fails(self) -> Iterator[None]:
        """Restarts it when what is done inside fails: it may have begun what nobody waits for any more."""
        try:
            yield
        except BaseException:
            self.restart()
            raise

    def begin(self, job: Mapping[str, Any]) -> None:
        """Gives a job without waiting for the answer; to a new process if the last one has ended."""
        if self.process.poll() is not None:
            self.restart()
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()

    def answer(self, timeout_s: float) -> Any:
        """Returns the answer of the job under way, or what else it has to say on the way there."""
        answer = json.loads(self.read_line(timeout_s))
        if isinstance(answer, dict) and answer.keys() == {CANNOT}:
            raise CannotDo(answer[CANNOT])
        return answer
