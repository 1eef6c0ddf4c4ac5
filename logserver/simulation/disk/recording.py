"""The disk itself: the `Disk` seam over a tree in memory, with a log of what was done to it.

A file must not be cut while a slice of its mapping is alive: on a real disk reading that slice kills the process. Here
the cut is an AssertionError.
"""

import errno
import os
import posixpath
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from logserver_records.batch import Buffer
from logserver_segments.seams import Entry

from logserver.simulation.disk.faults import Fault, Faults
from logserver.simulation.disk.operations import Kind, Operation
from logserver.simulation.disk.power import Chance, after_power_cut
from logserver.simulation.disk.tree import Directory, Inode, Tree

_UNLIMITED = 1 << 40
ANYBODY: Final = "anybody"
FLUSHER: Final = "flusher"
CALLERS: Final = (ANYBODY, FLUSHER)
"""Who syncs file systems, each through a descriptor of its own."""


class RecordingMapping:
    """A view of a file's bytes."""

    def __init__(self, disk: "RecordingDisk", path: str, data: bytearray, size: int) -> None:
        assert 0 < size <= len(data), (path, size, len(data))
        self._disk = disk
        self._path = path
        self.view = memoryview(data).toreadonly()[:size]

    def is_resident(self, position: int, size: int) -> bool:
        """As `Mapping.is_resident`."""
        assert position >= 0 and size > 0 and position + size <= len(self.view)
        return not self._disk.cold(self._path)


class RecordingFile:
    """An open file."""

    def __init__(self, disk: "RecordingDisk", path: str, inode: Inode) -> None:
        self.path = path
        self._disk = disk
        self._inode = inode
        disk.open_files += 1

    def __del__(self) -> None:
        self._disk.open_files -= 1

    def write(self, buffers: Sequence[Buffer], position: int) -> int:
        """As `File.write`."""
        disk, inode = self._disk, self._inode
        data = b"".join(buffers)
        with disk.lock_all:
            fits = disk.room(position + len(data) - len(inode.data))
            try:
                disk.meet("write", self.path)
            except OSError:
                # A prefix may get there, as on a real disk.
                self._write(data[: len(data) // 2], position)
                raise
            if not fits:
                room = max(disk.free() + len(inode.data) - position, 0)
                self._write(data[:room], position)
                raise self._disk.tell(errno.ENOSPC, self.path)
            self._write(data, position)
        return len(data)

    def _write(self, data: bytes, position: int) -> None:
        self._do(Kind.WRITE, position, data)

    def _do(self, kind: Kind, position: int = 0, data: bytes = b"") -> None:
        self._disk.do_with(self._inode, Operation(kind, self.path, self._inode.number, position, data))

    def read(self, size: int, position: int) -> bytes:
        """As `File.read`."""
        with self._disk.lock_all:
            self._disk.meet("read", self.path)
            self._disk.reads.append((self.path, position, size))
            return bytes(memoryview(self._inode.data)[position : position + size])

    def read_resident(self, size: int, position: int) -> Buffer | None:
        """As `File.read_resident`."""
        return None if self._disk.cold(self.path) else bytearray(self.read(size, position))

    def size(self) -> int:
        """As `File.size`."""
        return len(self._inode.data)

    def truncate(self, size: int) -> None:
        """As `File.truncate`."""
        with self._disk.lock_all:
            self._disk.meet("truncate", self.path)
            try:
                self._do(Kind.TRUNCATE, size)
            except BufferError:
                raise AssertionError(f"{self.path} was cut to {size} bytes under a live mapping") from None

    def write_out(self, position: int, size: int) -> None:
        """As `File.write_out`: promises nothing, and may find that the disk fails."""
        self._disk.before_sync()
        with self._disk.lock_all:
            self._disk.written_out.append((self.path, position, size))
            self._meet_sync()

    def _meet_sync(self) -> None:
        try:
            self._disk.meet("sync", self.path)
            if self._inode.has_error:
                raise self._disk.tell(errno.EIO, self.path)
        except OSError:
            self._do(Kind.FAILED_SYNC)
            raise

    def sync(self) -> None:
        """As `File.sync`."""
        self._disk.before_sync()
        with self._disk.lock_all:
            self._disk.syncs.append(self.path)
            self._meet_sync()
            self._do(Kind.SYNC)

    def map(self, size: int) -> RecordingMapping:
        """As `File.map`."""
        self._disk.meet("map", self.path)
        self._disk.maps.append(self.path)
        return RecordingMapping(self._disk, self.path, self._inode.data, size)


class RecordingLock:
    """A claim on a directory."""

    def __init__(self, disk: "RecordingDisk", path: str) -> None:
        self._disk = disk
        self._path = path

    def release(self) -> None:
        """As `Lock.release`."""
        self._disk.locks.discard(self._path)


class RecordingDisk:
    """The disk.

    Args:
        capacity: bytes that all files together may have; None: no limit. May be changed at any time.
        tree: what is on it.
        mounts: directories that are file systems of their own; they are there, for good.
    """

    def __init__(self, capacity: int | None = None, tree: Tree | None = None, mounts: Sequence[str] = ()) -> None:
        self.capacity = capacity
        self._tree = tree or Tree()
        self.mounts = tuple(mounts)
        for mount in self.mounts:
            if self._tree.node(mount) is None:
                self._tree.apply(Operation(Kind.MAKE_DIRECTORY, mount))
                self._tree.root.sync()
        self._base = self._tree.copy()
        self.operations: list[Operation] = []
        """What was done, since this disk was made or the last crash."""
        self._faults = Faults()
        self.cold: Callable[[str], bool] = lambda path: False
        self.locks: set[str] = set()
        self.lock_all = threading.RLock()
        self.open_files = 0
        # What was asked for: (path, position, size), or paths of the others; also of attempts that failed.
        self.reads: list[tuple[str, int, int]] = []
        self.written_out: list[tuple[str, int, int]] = []
        self.maps: list[str] = []
        self.syncs: list[str] = []
        self.filesystem_syncs = 0
        self.caller = ANYBODY
        """Who asks: Linux tells of a failure to flush once to each descriptor that a file system is synced through."""
        self._untold: set[tuple[str, str]] = set()

    def do(self, operation: Operation) -> None:
        """Notes an operation and does it."""
        self._tree.apply(operation)
        self.operations.append(operation)

    def do_with(self, inode: Inode, operation: Operation) -> None:
        """Notes an operation on a file and does it; one on a file from before a crash goes nowhere."""
        if self._tree.has(inode):
            self.do(operation)

    # Breaking

    @property
    def faults(self) -> list[Fault]:
        """The faults that are in force."""
        return self._faults.all

    @property
    def operations_left(self) -> int | None:
        """How many operations go on until the power goes in front of one; None: it does not go."""
        return self._faults.operations_left

    @operations_left.setter
    def operations_left(self, count: int | None) -> None:
        self._faults.operations_left = count

    def when_power_goes(self, call: Callable[[], None]) -> None:
        """Calls before PowerCut is raised."""
        self._faults.power_went = call

    def fail(
        self, operation: str, path: str = "*", error: int = errno.EIO, *, after: int = 0, times: int | None = 1
    ) -> Fault:
        """Lets operations fail from now on; remove the returned fault from `faults` to end it."""
        fault = Fault(operation, path, error, after, times)
        self.faults.append(fault)
        return fault

    def meet(self, operation: str, path: str) -> None:
        """Called in front of each operation; see `Faults.meet`."""
        self._faults.meet(operation, path)

    def tell(self, error: int, path: str) -> OSError:
        """Returns an error to raise, which counts as told."""
        return self._faults.tell(error, path)

    @property
    def told(self) -> Sequence[int]:
        """The numbers of all errors that programs were told so far because something was broken on purpose."""
        return self._faults.told

    def free(self) -> int:
        """Returns the bytes that still fit."""
        if self.capacity is None:
            return _UNLIMITED
        return max(self.capacity - sum(len(inode.data) for _, inode in self.files()), 0)

    def room(self, more: int) -> bool:
        """Returns whether so many bytes more fit."""
        return more <= 0 or more <= self.free()

    def kill(self) -> None:
        """Ends the process: its locks, mappings and descriptors go, everything written stays."""
        self.locks.clear()
        # Whoever opens a file system later is not told of a failure that somebody has heard of (errseq_sample).
        self._untold.clear()
        self.operations_left = None
        for _, inode in self.files():
            inode.data = bytearray(inode.data)

    def crash(self, choose: Chance) -> None:
        """Cuts the power; `choose` decides what of the unsynced survives. Who holds open files writes to nowhere."""
        self.locks.clear()
        self.operations_left = None
        with self.lock_all:
            self.root = after_power_cut(self._tree, choose).root

    def left_by_power_cut(self, choose: Chance, after: int | None = None) -> "RecordingDisk":
        """Returns another disk with what a power cut could leave of this one.

        Args:
            after: how many of `operations` were done before the cut; all by default.
        """
        tree = self._tree if after is None or after >= len(self.operations) else self.tree_after(after)
        return RecordingDisk(self.capacity, after_power_cut(tree, choose), self.mounts)

    def tree_after(self, count: int) -> Tree:
        """Returns a tree as this disk's was after its first `count` operations."""
        tree = self._base.copy()
        for operation in self.operations[:count]:
            tree.apply(operation)
        return tree

    # The tree

    @property
    def root(self) -> Directory:
        """The root directory; another may be put in its place."""
        return self._tree.root

    @root.setter
    def root(self, root: Directory) -> None:
        self._tree = Tree(root)
        self._base = self._tree.copy()
        self.operations = []

    def files(self) -> Iterator[tuple[str, Inode]]:
        """Yields (path, inode) of all files."""
        return self._tree.files()

    def inode(self, path: str) -> Inode:
        """Returns the file of a path, to look into or to damage."""
        return self._tree.inode(path)

    def names(self, path: str) -> list[tuple[str, bool]]:
        """Returns what is in a directory, and whether it is one itself, whatever fails."""
        return [(name, isinstance(node, Directory)) for name, node in self._tree.directory(path).children.items()]

    def damage(self, path: str, content: bytes) -> None:
        """Replaces a file's content behind everybody's back, durably."""
        inode = self.inode(path)
        inode.data, inode.durable, inode.pending = bytearray(content), content, []

    # Disk

    def open(self, path: str, *, create: bool = False) -> RecordingFile:
        """As `Disk.open`."""
        with self.lock_all:
            self.meet("create" if create else "open", path)
            if create:
                folder, name = posixpath.split(path)
                if name in self._tree.directory(folder).children:
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
                self.do(Operation(Kind.CREATE, path, self._tree.next_number))
            return RecordingFile(self, path, self.inode(path))

    def list(self, path: str) -> Sequence[Entry]:
        """As `Disk.list`."""
        self.meet("list", path)
        with self.lock_all:
            return [
                Entry(name, isinstance(node, Directory), 0 if isinstance(node, Directory) else len(node.data))
                for name, node in self._tree.directory(path).children.items()
            ]

    def exists(self, path: str) -> bool:
        """As `Disk.exists`."""
        return self._tree.node(path) is not None

    def read_file(self, path: str) -> bytes:
        """As `Disk.read_file`."""
        self.meet("read_file", path)
        self.reads.append((path, 0, -1))
        return bytes(self.inode(path).data)

    def write_file(self, path: str, content: bytes, *, durable: bool) -> None:
        """As `Disk.write_file`."""
        with self.lock_all:
            self.meet("write_file", path)
            directory = posixpath.dirname(path)
            self._tree.directory(directory)
            if not self.room(len(content)):
                raise self.tell(errno.ENOSPC, path)
            number = self._tree.next_number
            temporary = path + ".tmp"
            self.do(Operation(Kind.CREATE, temporary, number))
            if content:
                self.do(Operation(Kind.WRITE, temporary, number, 0, bytes(content)))
            if durable:
                self.do(Operation(Kind.SYNC, temporary, number))
            self.do(Operation(Kind.RENAME, temporary, target=path))
            if durable:
                self.do(Operation(Kind.SYNC_DIRECTORY, directory))

    def make_directory(self, path: str) -> None:
        """As `Disk.make_directory`."""
        self.meet("make_directory", path)
        with self.lock_all:
            made = ""
            for part in path.split("/"):
                if not part:
                    continue
                made = f"{made}/{part}"
                node = self._tree.node(made)
                if node is None:
                    self.do(Operation(Kind.MAKE_DIRECTORY, made))
                elif not isinstance(node, Directory):
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)

    def rename(self, source: str, target: str) -> None:
        """As `Disk.rename`."""
        with self.lock_all:
            self.meet("rename", source)
            folder, name = posixpath.split(source)
            if name not in self._tree.directory(folder).children:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
            self._tree.directory(posixpath.dirname(target))
            self.do(Operation(Kind.RENAME, source, target=target))

    def remove(self, path: str) -> None:
        """As `Disk.remove`."""
        with self.lock_all:
            self.meet("remove", path)
            folder, name = posixpath.split(path)
            if name in self._tree.directory(folder).children:
                self.do(Operation(Kind.REMOVE, path))

    def remove_tree(self, path: str) -> None:
        """As `Disk.remove_tree`."""
        with self.lock_all:
            self.meet("remove_tree", path)
            self._tree.directory(path)
            self.do(Operation(Kind.REMOVE, path))

    def sync_directory(self, path: str) -> None:
        """As `Disk.sync_directory`."""
        with self.lock_all:
            self.meet("sync_directory", path)
            self._tree.directory(path)
            self.do(Operation(Kind.SYNC_DIRECTORY, path))

    def before_sync(self) -> None:
        """Where syncing a file or the file system takes its time; a test may wait here."""

    def sync_filesystem(self, path: str) -> None:
        """As `Disk.sync_filesystem`."""
        self.before_sync()
        mount = self.mount_of(path)
        with self.lock_all:
            self.filesystem_syncs += 1
            try:
                self.meet("sync_filesystem", path)
            except OSError:
                self.do(Operation(Kind.FAILED_SYNC_FILESYSTEM, mount))
                self._untold |= {(mount, caller) for caller in CALLERS}
                self._untold.discard((mount, self.caller))
                raise
            if (mount, self.caller) in self._untold:
                self._untold.discard((mount, self.caller))
                raise self.tell(errno.EIO, path)
            self.do(Operation(Kind.SYNC_FILESYSTEM, mount))

    def mount_of(self, path: str) -> str:
        """Returns the directory of the file system that a path is in."""
        return next((mount for mount in self.mounts if f"{path}/".startswith(f"{mount}/")), "")

    def space(self, path: str) -> tuple[int, int]:
        """As `Disk.space`."""
        return self.free(), self.capacity if self.capacity is not None else _UNLIMITED

    def lock(self, path: str) -> RecordingLock:
        """As `Disk.lock`."""
        with self.lock_all:
            if path in self.locks:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)
            if not self.exists(path):
                self.open(path, create=True)
            self.locks.add(path)
            return RecordingLock(self, path)
