"""The daemon on a thread of this process, with free ports and a directory of its own."""

import asyncio
import os
import tempfile
import threading
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from logserver_segments.machine import SystemClock

from logserver.daemon import Daemon, run_loop
from logserver.errors import ErrorCode
from logserver.faults import Fault, Faults
from logserver.settings import load_settings
from logserver.testing.clock import VirtualClock
from logserver.testing.connections import drop_accepted

T = TypeVar("T")


class LogServer:
    """A real server for a test. Use it as a context manager, or call `start` and `stop`.

    Args:
        data_dir: where to keep data; by default a temporary directory that goes when the server stops.
        settings: settings by name, e.g. `{"num.partitions": "3"}`; ports are free ones unless given here.

    Raises:
        logserver.daemon.StartError: from `start`; the message says what is in the way.
    """

    def __init__(
        self, data_dir: str | os.PathLike[str] | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self._own_directory: tempfile.TemporaryDirectory[str] | None = None
        self._given_directory = None if data_dir is None else os.fspath(data_dir)
        self._settings = dict(settings or {})
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._daemon: Daemon | None = None
        self._faults = Faults()
        self.clock = VirtualClock()
        """The server's time: `clock.advance(seconds)` moves it forward."""
        self.grpc = ""
        """HOST:PORT of the gRPC door; set while the server runs."""
        self.kafka = ""
        """HOST:PORT of the door for Kafka clients; set while the server runs, empty if that door is closed."""

    @property
    def data_dir(self) -> str:
        """The data directory in use."""
        if self._given_directory is not None:
            return self._given_directory
        if self._own_directory is None:
            self._own_directory = tempfile.TemporaryDirectory(prefix="logserver-test-")
        return self._own_directory.name + "/data"

    def start(self) -> None:
        """Starts the server and returns when its doors answer."""
        if self._thread is not None:
            raise RuntimeError("the server is running already")
        settings = load_settings(
            environment={},
            command_line={
                "grpc.listeners": "127.0.0.1:0",
                "listeners": "127.0.0.1:0",
                "log.dirs": self.data_dir,
                **self._settings,
            }.items(),
        )
        started: list[BaseException | None] = []
        ready = threading.Event()

        async def run() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            daemon = Daemon(settings, clock=self.clock, socket_clock=SystemClock(), faults=self._faults)
            try:
                await daemon.start()
            except BaseException as error:
                started.append(error)
                return
            self._daemon = daemon
            started.append(None)
            ready.set()
            try:
                await self._stop.wait()
            finally:
                await daemon.stop()

        def main() -> None:
            try:
                run_loop(run())
            finally:
                ready.set()

        self._thread = threading.Thread(target=main, name="logserver", daemon=True)
        self._thread.start()
        ready.wait()
        if started[0] is not None:
            self._thread.join()
            self._thread = None
            raise started[0]
        assert self._daemon is not None
        self.clock.runs_on(self._loop)
        self.grpc = str(self._daemon.grpc_addresses[0])
        self.kafka = ",".join(map(str, self._daemon.kafka_addresses[:1]))

    def stop(self) -> None:
        """Stops the server cleanly. Its directory stays for another `start` if it was given, or until `close`."""
        if self._thread is None:
            return
        assert self._loop is not None and self._stop is not None
        self.clock.runs_on(None)
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = self._daemon = None
        self.grpc = self.kafka = ""

    def close(self) -> None:
        """Stops the server and removes the temporary directory."""
        self.stop()
        if self._own_directory is not None:
            self._own_directory.cleanup()
            self._own_directory = None

    def call(self, function: Callable[[Daemon], Coroutine[Any, Any, T]]) -> T:
        """Runs a coroutine function of the daemon on the server's own event loop; for tests of the server itself."""
        daemon = self._running()
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(function(daemon), self._loop).result()

    def _running(self) -> Daemon:
        if self._daemon is None:
            raise RuntimeError("the server is not running")
        return self._daemon

    # What goes wrong on purpose

    def fail(self, api: str, error: ErrorCode | str, times: int | None = 1) -> Fault:
        """Has the next calls of an API fail, whoever makes them, instead of doing anything.

        A Kafka request fails as a whole where its response can say so, and else for each of its partitions. A gRPC call
        ends with a status, a stream when the client sends its next message.

        Args:
            api: Kafka's name of an API or the name of a gRPC method, such as "Fetch" or "ProduceStream"; "Fetch" is
                both, "Kafka.Fetch" and "Log.Fetch" are one of them.
            error: Kafka's code, or its name, such as "NOT_LEADER_OR_FOLLOWER".
            times: how many calls; None for all until the fault is ended.

        Returns:
            What counts the calls that have failed and can be ended; as a context manager it ends with it.

        Raises:
            ValueError: there is no such API or error; the message names the nearest.
            RuntimeError: the server is not running.
        """

        async def fail(daemon: Daemon) -> Fault:
            return self._faults.fail(api, error, times)

        return self.call(fail)

    def drop_connections(self) -> int:
        """Ends all connections of clients through both doors, as a network that fails; they may connect again at once.

        Requests under way may have been carried out or not.

        Returns:
            How many there were.

        Raises:
            RuntimeError: the server is not running.
        """
        daemon = self._running()
        return drop_accepted({address.port for address in (*daemon.grpc_addresses, *daemon.kafka_addresses)})

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
