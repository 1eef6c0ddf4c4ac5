"""The real file system with errors put in its way."""

import errno
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

from logserver_records.batch import Buffer
from logserver_segments.disk import OsDisk
from logserver_segments.seams import File, Mapping


@dataclass
class Fault:
    """An error that operations of a name on matching paths meet: all of them, or only the next `times`."""

    operation: str
    path: str
    error: int
    times: int | None
    met: int = field(default=0, init=False)
    happened: threading.Event = field(default_factory=threading.Event, init=False)


class FaultyFile:
    """A file of a `FaultyDisk`."""

    def __init__(self, disk: "FaultyDisk", file: File) -> None:
        self.path = file.path
        self._disk = disk
        self._file = file

    def write(self, buffers: Sequence[Buffer], position: int) -> int:
        try:
            self._disk.meet("write", self.path)
        except OSError:
            # A prefix gets there, as on a real disk.
            data = b"".join(buffers)
            self._file.write((data[: len(data) // 2],), position)
            raise
        return self._file.write(buffers, position)

    def read(self, size: int, position: int) -> bytes:
        self._disk.meet("read", self.path)
        self._disk.read_from.append(self.path)
        if self._disk.is_cold(self.path):
            self._disk.hanging_reads += 1
            self._disk.reads_held.wait()
        return self._file.read(size, position)

    def read_resident(self, size: int, position: int) -> Buffer | None:
        self._disk.meet("read", self.path)
        self._disk.read_from.append(self.path)
        if self._disk.is_cold(self.path):
            return None
        return self._file.read_resident(size, position)

    def size(self) -> int:
        return self._file.size()

    def truncate(self, size: int) -> None:
        self._disk.meet("truncate", self.path)
        self._file.truncate(size)

    def write_out(self, position: int, size: int) -> None:
        self._disk.meet("sync", self.path)
        self._file.write_out(position, size)

    def sync(self) -> None:
        self._disk.meet("sync", self.path)
        self._disk.synced.append(self.path)
        self._file.sync()

    def map(self, size: int) -> Mapping:
        self._disk.meet("map", self.path)
        if self._disk.is_cold(self.path):
            # Read instead, then.
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), self.path)
        return self._file.map(size)


class FaultyDisk(OsDisk):
    """`fail` lets operations fail from then on. Names of operations are those of `Disk` and `File`."""

    __slots__ = (
        "cold_paths",
        "faults",
        "free_bytes",
        "hanging_reads",
        "held",
        "held_paths",
        "opened",
        "read_from",
        "reads_held",
        "synced",
        "written",
    )

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        # While it is clear, whatever syncs waits.
        self.held = threading.Event()
        self.held.set()
        self.held_paths = "*"
        # What matches is never in memory, and reading it waits while `reads_held` is clear.
        self.cold_paths = ""
        self.reads_held = threading.Event()
        self.hanging_reads = 0
        # What it says to be free, if not what is.
        self.free_bytes: int | None = None
        # What was done: paths of files opened, read, synced, and written as a whole.
        self.opened: list[str] = []
        self.read_from: list[str] = []
        self.synced: list[str] = []
        self.written: list[str] = []

    def fail(self, operation: str, path: str = "*", error: int = errno.EIO, times: int | None = None) -> Fault:
        """Lets operations fail; returns the fault, for `heal`."""
        fault = Fault(operation, path, error, times)
        self.faults.append(fault)
        return fault

    def hold(self, path: str) -> None:
        """Lets whatever syncs there wait until `held` is set."""
        self.held_paths = path
        self.held.clear()

    def hold_reads(self, path: str) -> None:
        """Lets whatever reads there wait until `reads_held` is set."""
        self.cold_paths = path
        self.reads_held.clear()

    def is_cold(self, path: str) -> bool:
        """Whether a file is not in memory."""
        return fnmatch(path, self.cold_paths)

    def fill(self) -> None:
        """No space is left from now on, for anything that needs some."""
        for operation in ("write", "write_file", "create", "make_directory"):
            self.fail(operation, error=errno.ENOSPC)

    def heal(self, *faults: Fault) -> None:
        """Ends these faults, or all."""
        self.faults = [fault for fault in self.faults if faults and fault not in faults]

    def meet(self, operation: str, path: str) -> None:
        if operation in ("sync", "sync_filesystem") and fnmatch(path, self.held_paths):
            self.held.wait()
        for fault in list(self.faults):
            if fault.operation == operation and fnmatch(path, fault.path):
                if fault.times is not None and fault.met >= fault.times:
                    continue
                fault.met += 1
                fault.happened.set()
                raise OSError(fault.error, os.strerror(fault.error), path)

    def open(self, path: str, *, create: bool = False) -> Any:
        self.meet("create" if create else "open", path)
        self.opened.append(path)
        return FaultyFile(self, super().open(path, create=create))

    def read_file(self, path: str) -> bytes:
        self.meet("read_file", path)
        return super().read_file(path)

    def write_file(self, path: str, content: bytes, *, durable: bool) -> None:
        self.meet("write_file", path)
        self.written.append(path)
        super().write_file(path, content, durable=durable)

    def make_directory(self, path: str) -> None:
        if not self.exists(path):
            self.meet("make_directory", path)
        super().make_directory(path)

    def list(self, path: str) -> Any:
        self.meet("list", path)
        return super().list(path)

    def rename(self, source: str, target: str) -> None:
        self.meet("rename", source)
        super().rename(source, target)

    def remove_tree(self, path: str) -> None:
        self.meet("remove_tree", path)
        super().remove_tree(path)

    def sync_filesystem(self, path: str) -> None:
        self.meet("sync_filesystem", path)
        self.synced.append(path)
        super().sync_filesystem(path)

    def space(self, path: str) -> tuple[int, int]:
        self.meet("space", path)
        free, total = super().space(path)
        return free if self.free_bytes is None else self.free_bytes, total
