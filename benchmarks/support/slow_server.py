"""A log server whose disk takes its time to read: `python -m benchmarks.support.slow_server DIRECTORY DELAY_MS TOPIC`.

Files of the topic are never in memory, those of others are as the page cache has them; whatever has to be read from the
disk takes so long.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from logserver_records.batch import Buffer
from logserver_segments.disk import OsDisk
from logserver_segments.seams import File, Mapping

from logserver.daemon import Daemon, run_loop
from logserver.daemon.process import prepare_process
from logserver.settings import load_settings

_INDEXES: Final = (".index", ".timeindex", ".txnindex")


class _ColdMapping:
    """A mapping of which nothing is in memory until its file has been read as one that stays."""

    def __init__(self, mapping: Mapping, path: str, warm: set[str]) -> None:
        self.view = mapping.view
        self._path = path
        self._warm = warm

    def is_resident(self, position: int, size: int) -> bool:
        return self._path in self._warm


class _SlowFile:
    """A file of a `SlowDisk`."""

    def __init__(self, disk: "SlowDisk", file: File, is_cold: bool) -> None:
        self.path = file.path
        self._disk = disk
        self._file = file
        self._is_cold = is_cold

    def write(self, buffers: Sequence[Buffer], position: int) -> int:
        return self._file.write(buffers, position)

    def read(self, size: int, position: int) -> bytes:
        time.sleep(self._disk.delay_s)
        if self.path.endswith(_INDEXES):
            # As with a real disk: small and read once, it stays.
            self._disk.warm.add(self.path)
        return self._file.read(size, position)

    def read_resident(self, size: int, position: int) -> Buffer | None:
        return None if self._is_cold else self._file.read_resident(size, position)

    def size(self) -> int:
        return self._file.size()

    def truncate(self, size: int) -> None:
        self._file.truncate(size)

    def write_out(self, position: int, size: int) -> None:
        self._file.write_out(position, size)

    def sync(self) -> None:
        self._file.sync()

    def map(self, size: int) -> Mapping:
        found = self._file.map(size)
        return _ColdMapping(found, self.path, self._disk.warm) if self._is_cold else found


class SlowDisk(OsDisk):
    """The disk.

    Args:
        delay_s: that each read takes.
        topic: whose files are never in memory.
    """

    __slots__ = ("_part", "delay_s", "warm")

    def __init__(self, delay_s: float, topic: str) -> None:
        self.delay_s = delay_s
        self.warm: set[str] = set()
        self._part = f"/{topic}-"

    def open(self, path: str, *, create: bool = False) -> Any:
        file = super().open(path, create=create)
        return _SlowFile(self, file, self._part in path and path not in self.warm)


async def _serve(directory: str, delay_ms: str, topic: str) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    named = {"log.dirs": directory, "grpc.listeners": "127.0.0.1:0", "listeners": "off"}
    settings = load_settings(command_line=named.items())
    prepare_process(settings)
    daemon = Daemon(settings, disk=SlowDisk(int(delay_ms) / 1000, topic))
    await daemon.start()
    try:
        sys.stdout.write(f"ready grpc={daemon.grpc_addresses[0]}\n")
        sys.stdout.flush()
        await ended.wait()
    finally:
        await daemon.stop()


if __name__ == "__main__":
    run_loop(_serve(*sys.argv[1:4]))
