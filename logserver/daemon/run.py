"""Running a daemon as a process of its own: event loop, signals, the ready line."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

from logserver.daemon.daemon import Daemon
from logserver.daemon.process import give_back_when_idle, prepare_process
from logserver.settings import ServerSettings

T = TypeVar("T")


def serve(settings: ServerSettings, ready: Callable[[str], None] | None = None) -> None:
    """Runs a server until SIGTERM or SIGINT.

    Args:
        ready: gets the one line that says where every door answers, e.g. `ready grpc=127.0.0.1:50051`.

    Raises:
        StartError: it could not start.
    """
    prepare_process(settings)
    is_stuck = run_loop(_serve(settings, ready or _print_line))
    if is_stuck:
        # Python would wait for the threads that the disk does not let go.
        os._exit(1)


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end on an event loop of the kind that daemons run on; returns its result."""
    return uvloop.run(main)


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _serve(settings: ServerSettings, ready: Callable[[str], None]) -> bool:
    """Serves until a signal; returns whether threads are left that do not end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    daemon = Daemon(settings)
    await daemon.start()
    giving_back = asyncio.create_task(give_back_when_idle(), name="give-back-memory")
    try:
        doors = [f"grpc={address}" for address in daemon.grpc_addresses]
        doors += [f"kafka={address}" for address in daemon.kafka_addresses]
        ready(" ".join(["ready", *doors]))
        await stop.wait()
    finally:
        giving_back.cancel()
        await daemon.stop()
    return daemon.is_stuck
