"""Worker processes behind their seam: one at a time, started when there is work, ended without harm at any time.

The process is `python -m logserver_segments.worker_process`, not one of `multiprocessing`, which would run the main
module of whoever has embedded the server a second time. Messages go over its pipes: 8 bytes of length, then a pickle.
It ends by itself when its input does, so it never outlives this one, however that ends.
"""

import asyncio
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from struct import Struct
from typing import IO, Any, Final, ParamSpec, TypeVar

from logserver_segments.seams import WorkerDied

T = TypeVar("T")
P = ParamSpec("P")

LENGTH: Final = Struct(">Q")
_NICENESS: Final = 10
"""What serves clients goes first where processors are few."""
_IDLE_S: Final = 30.0
"""It takes as much memory as a small server, and a fifth of a second to start."""


def write_message(pipe: IO[bytes], message: object) -> None:
    """Writes one message."""
    content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    pipe.write(LENGTH.pack(len(content)) + content)
    pipe.flush()


def read_message(pipe: IO[bytes]) -> Any:
    """Returns the next message; None where the pipe has ended."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (size,) = LENGTH.unpack(head)
    content = pipe.read(size)
    return pickle.loads(content) if len(content) == size else None


class _Process:
    """A running worker process. Its pipes are used by one thread at a time; anybody may kill it."""

    def __init__(self) -> None:
        # Found as here, however this process came to its modules; -P: and nothing else in the working directory.
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "logserver_segments.worker_process", str(_NICENESS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            # Ctrl-C at the terminal is for the server, which then ends this one.
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, message: object) -> Any:
        """Sends a message and returns the answer.

        Raises:
            WorkerDied: it has ended.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            write_message(self._process.stdin, message)
            answer = read_message(self._process.stdout)
        except (OSError, ValueError):
            answer = None
        if answer is None:
            raise WorkerDied(f"the worker process {self.pid} has ended, with status {self._end()}")
        return answer

    def _end(self) -> int:
        """Ends the process, waits for it and closes the pipes; for the thread that uses them."""
        self._process.kill()
        status = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    # What was still to be written to it: nobody reads it any more.
                    continue
        return status

    def kill(self) -> None:
        """Ends the process at once; whoever waits for its answer gets `WorkerDied`."""
        self._process.kill()

    def end(self) -> None:
        """Ends the process, which has no work, and waits for it."""
        self._end()


class ProcessWorkers:
    """A process for work that takes the processor, on behalf of the running asyncio loop; one piece after the other.

    It is started with the first work, and again after it has died. Without work it is ended soon.
    """

    def __init__(self) -> None:
        # Its only thread is who talks to the process.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="logserver-process")
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._closed = False
        # So that only one piece of work is under way.
        self._turn = asyncio.Lock()
        self._rest: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process, None while there is none."""
        with self._lock:
            return self._process.pid if self._process is not None else None

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a function in the process.

        Raises:
            WorkerDied: the process has ended before the function did.
        """
        (result,) = [value async for value in self.steps(_once, function, *args, **kwargs)]
        return result

    async def steps(
        self, function: Callable[P, Iterator[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncGenerator[T, None]:
        """Runs a generator function in the process; see `Workers.steps`.

        Raises:
            WorkerDied: the process has ended before the generator did.
        """
        async with self._turn:
            if self._rest is not None:
                self._rest.cancel()
            ended = False
            try:
                message: object = (function, args, kwargs)
                while True:
                    if self._closed:
                        raise WorkerDied("no worker process: they were closed")
                    kind, value = await asyncio.wrap_future(self._thread.submit(self._ask, message))
                    if kind == "value":
                        yield value
                        message = "next"
                        continue
                    ended = True
                    if kind == "error":
                        raise value
                    return
            finally:
                if ended:
                    self._rest = asyncio.get_running_loop().call_later(_IDLE_S, self._kill)
                else:
                    self._kill()

    def _ask(self, message: object) -> Any:
        with self._lock:
            if self._process is None:
                if self._closed:
                    raise WorkerDied("no worker process: they were closed")
                if message == "next":
                    raise WorkerDied("the worker process has been ended")
                self._process = _Process()
            process = self._process
        try:
            return process.ask(message)
        except BaseException:
            self._forget(process)
            raise

    def _forget(self, process: _Process) -> None:
        with self._lock:
            if self._process is process:
                self._process = None

    def _kill(self) -> None:
        with self._lock:
            process, self._process = self._process, None
            if process is not None:
                process.kill()
                # Waited for by the thread that may be waiting for its answer now.
                self._thread.submit(process.end)

    def close(self) -> None:
        """Ends the process, whatever it does; whoever waits for it gets `WorkerDied`. Waits until it is gone."""
        with self._lock:
            self._closed = True
        self._kill()
        self._thread.shutdown(wait=True)


def _once(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
    yield function(*args, **kwargs)
