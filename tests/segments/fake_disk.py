"""A disk in memory that forgets, as a power cut makes a real one forget, and that breaks on demand.

What survives a power cut: the content of a file as of its last sync, and of what was written since whatever
`crash` chooses; the entries of a directory as of its last sync, and of the changes since the first few, in order
(journaling file systems keep that order within a directory). Syncing a file does not sync its directory entry. After
a sync that failed, what it should have written is visible and never becomes durable, as with Linux's page cache.

A file must not be cut while a slice of its mapping is alive: on a real disk reading that slice kills the process. Here
the cut is an AssertionError.
"""

import errno
import os
import posixpath
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Protocol

from logserver_records.batch import Buffer
from logserver_segments.seams import Entry


@dataclass
class Write:
    """Bytes written and not synced yet."""

    position: int
    data: bytes


@dataclass
class Cut:
    """A file's size set and not synced yet."""

    size: int


class Inode:
    """A file's content: what programs see, what is durable, and the operations that lie between."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.durable = b""
        self.pending: list[Write | Cut] = []

    def sync(self) -> None:
        self.durable = apply(self.durable, self.pending)
        self.pending = []

    def forget(self) -> None:
        """A sync failed: data that it should have made durable never will be. Sizes are the journal's business."""
        self.pending = [operation for operation in self.pending if isinstance(operation, Cut)]


def apply(content: bytes, operations: Sequence[Write | Cut]) -> bytes:
    """Returns the content after operations."""
    data = bytearray(content)
    for operation in operations:
        if isinstance(operation, Cut):
            del data[operation.size :]
            data.extend(bytes(operation.size - len(data)))
        else:
            if len(data) < operation.position:
                data.extend(bytes(operation.position - len(data)))
            data[operation.position : operation.position + len(operation.data)] = operation.data
    return bytes(data)


class Directory:
    """A directory: its entries as seen, as durable, and the changes between, each a set of entries put or removed."""

    def __init__(self) -> None:
        self.children: dict[str, Node] = {}
        self.durable: dict[str, Node] = {}
        self.pending: list[dict[str, Node | None]] = []

    def change(self, change: "dict[str, Node | None]") -> None:
        _put(self.children, change)
        self.pending.append(change)

    def sync(self) -> None:
        self.durable = dict(self.children)
        self.pending = []


Node = Inode | Directory


def _put(entries: dict[str, Node], change: dict[str, Node | None]) -> None:
    for name, node in change.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


@dataclass
class Fault:
    """An error to raise instead of an operation.

    `operation` is the name of a method of the disk or file (a file made by `open` is "create"); `path` a pattern.
    `after` operations pass first; then `times` fail (None: all).
    """

    operation: str
    path: str
    error: int = errno.EIO
    after: int = 0
    times: int | None = 1
    met: int = field(default=0, init=False)


class Chance(Protocol):
    """What decides about the outcome of a power cut; `random.Random` fits."""

    def randint(self, low: int, high: int, /) -> int: ...

    def randrange(self, count: int, /) -> int: ...

    def random(self) -> float: ...


class PowerCut(BaseException):
    """The power went in the middle of what was being done; nothing gets to the disk until `crash` or `kill`."""


class FakeMapping:
    def __init__(self, disk: "FakeDisk", path: str, data: bytearray, size: int) -> None:
        assert 0 < size <= len(data), (path, size, len(data))
        self._disk = disk
        self._path = path
        self.view = memoryview(data).toreadonly()[:size]

    def is_resident(self, position: int, size: int) -> bool:
        assert position >= 0 and size > 0 and position + size <= len(self.view)
        return not self._disk.cold(self._path)


class FakeFile:
    def __init__(self, disk: "FakeDisk", path: str, inode: Inode) -> None:
        self.path = path
        self._disk = disk
        self._inode = inode
        disk.open_files += 1

    def __del__(self) -> None:
        self._disk.open_files -= 1

    def write(self, buffers: Sequence[Buffer], position: int) -> int:
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
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)
            self._write(data, position)
        return len(data)

    def _write(self, data: bytes, position: int) -> None:
        inode = self._inode
        if not data:
            return
        operation = Write(position, data)
        inode.pending.append(operation)
        if position + len(data) > len(inode.data):
            # Not in place: a bytearray can't grow while mappings look at it, a file can.
            inode.data = bytearray(apply(bytes(inode.data), [operation]))
        else:
            inode.data[position : position + len(data)] = data

    def read(self, size: int, position: int) -> bytes:
        with self._disk.lock_all:
            self._disk.meet("read", self.path)
            self._disk.reads.append((self.path, position, size))
            return bytes(self._inode.data[position : position + size])

    def read_resident(self, size: int, position: int) -> Buffer | None:
        return None if self._disk.cold(self.path) else bytearray(self.read(size, position))

    def size(self) -> int:
        return len(self._inode.data)

    def truncate(self, size: int) -> None:
        with self._disk.lock_all:
            self._disk.meet("truncate", self.path)
            cut = Cut(size)
            try:
                del self._inode.data[size:]
            except BufferError:
                raise AssertionError(f"{self.path} was cut to {size} bytes under a live mapping") from None
            self._inode.data.extend(bytes(size - len(self._inode.data)))
            self._inode.pending.append(cut)

    def sync(self) -> None:
        self._disk.before_sync()
        with self._disk.lock_all:
            self._disk.syncs.append(self.path)
            try:
                self._disk.meet("sync", self.path)
            except OSError:
                self._inode.forget()
                raise
            self._inode.sync()

    def map(self, size: int) -> FakeMapping:
        self._disk.meet("map", self.path)
        self._disk.maps.append(self.path)
        return FakeMapping(self._disk, self.path, self._inode.data, size)


class FakeLock:
    def __init__(self, disk: "FakeDisk", path: str) -> None:
        self._disk = disk
        self._path = path

    def release(self) -> None:
        self._disk.locks.discard(self._path)


class FakeDisk:
    """The disk.

    Args:
        capacity: bytes that all files together may have; None: no limit. May be changed at any time.
    """

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.root = Directory()
        self.faults: list[Fault] = []
        self.cold: Callable[[str], bool] = lambda path: False
        self.locks: set[str] = set()
        self.lock_all = threading.RLock()
        self.open_files = 0
        # What was done: (path, position, size) of reads, paths of the others, also of attempts that failed.
        self.reads: list[tuple[str, int, int]] = []
        self.maps: list[str] = []
        self.syncs: list[str] = []
        self.filesystem_syncs = 0
        # How many operations go on until the power goes in front of one.
        self.operations_left: int | None = None

    # Breaking

    def fail(
        self, operation: str, path: str = "*", error: int = errno.EIO, *, after: int = 0, times: int | None = 1
    ) -> Fault:
        """Lets operations fail from now on; remove the returned fault from `faults` to end it."""
        fault = Fault(operation, path, error, after, times)
        self.faults.append(fault)
        return fault

    def meet(self, operation: str, path: str) -> None:
        if self.operations_left is not None:
            if self.operations_left <= 0:
                raise PowerCut
            self.operations_left -= 1
        for fault in self.faults:
            if fault.operation == operation and fnmatch(path, fault.path):
                fault.met += 1
                over = fault.times is not None and fault.met > fault.after + fault.times
                if fault.met > fault.after and not over:
                    raise OSError(fault.error, os.strerror(fault.error), path)

    def free(self) -> int:
        if self.capacity is None:
            return 1 << 40
        return max(self.capacity - sum(len(inode.data) for _, inode in self.files()), 0)

    def room(self, more: int) -> bool:
        return more <= 0 or more <= self.free()

    def kill(self) -> None:
        """Ends the process: its locks and mappings go, everything written stays."""
        self.locks.clear()
        self.operations_left = None
        for _, inode in self.files():
            inode.data = bytearray(inode.data)

    def crash(self, choose: Chance) -> None:
        """Cuts the power; `choose` decides what of the unsynced survives."""
        self.locks.clear()
        self.operations_left = None
        with self.lock_all:
            self._crash_directory(self.root, choose, {})

    def _crash_directory(self, directory: Directory, choose: Chance, seen: dict[int, Inode]) -> None:
        entries = dict(directory.durable)
        for change in directory.pending[: choose.randint(0, len(directory.pending))]:
            _put(entries, change)
        # Whoever still holds the old objects writes to nowhere.
        for name, node in list(entries.items()):
            if isinstance(node, Directory):
                self._crash_directory(node, choose, seen)
            else:
                entries[name] = self._crash_inode(node, choose, seen)
        directory.children, directory.durable, directory.pending = entries, dict(entries), []

    @staticmethod
    def _crash_inode(inode: Inode, choose: Chance, seen: dict[int, Inode]) -> Inode:
        if id(inode) not in seen:
            left = Inode()
            left.durable = apply(inode.durable, _survivors(inode.pending, choose))
            left.data = bytearray(left.durable)
            seen[id(inode)] = left
        return seen[id(inode)]

    # The tree

    def files(self) -> Iterator[tuple[str, Inode]]:
        """Yields (path, inode) of all files."""
        yield from _walk("", self.root)

    def _node(self, path: str) -> Node | None:
        node: Node = self.root
        for part in _parts(path):
            found = node.children.get(part) if isinstance(node, Directory) else None
            if found is None:
                return None
            node = found
        return node

    def _directory(self, path: str) -> Directory:
        node = self._node(path)
        if node is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if not isinstance(node, Directory):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return node

    def inode(self, path: str) -> Inode:
        """Returns the file of a path, for tests to look into or to damage."""
        node = self._node(path)
        if not isinstance(node, Inode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return node

    def damage(self, path: str, content: bytes) -> None:
        """Replaces a file's content behind everybody's back, durably."""
        inode = self.inode(path)
        inode.data, inode.durable, inode.pending = bytearray(content), content, []

    # Disk

    def open(self, path: str, *, create: bool = False) -> FakeFile:
        with self.lock_all:
            self.meet("create" if create else "open", path)
            folder, name = posixpath.split(path)
            if create:
                directory = self._directory(folder)
                if name in directory.children:
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
                directory.change({name: Inode()})
            return FakeFile(self, path, self.inode(path))

    def list(self, path: str) -> Sequence[Entry]:
        self.meet("list", path)
        with self.lock_all:
            return [
                Entry(name, isinstance(node, Directory), 0 if isinstance(node, Directory) else len(node.data))
                for name, node in self._directory(path).children.items()
            ]

    def exists(self, path: str) -> bool:
        return self._node(path) is not None

    def read_file(self, path: str) -> bytes:
        self.meet("read_file", path)
        self.reads.append((path, 0, -1))
        return bytes(self.inode(path).data)

    def write_file(self, path: str, content: bytes, *, durable: bool) -> None:
        with self.lock_all:
            self.meet("write_file", path)
            folder, name = posixpath.split(path)
            directory = self._directory(folder)
            if not self.room(len(content)):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            inode = Inode()
            directory.change({name + ".tmp": inode})
            if content:
                inode.data = bytearray(content)
                inode.pending.append(Write(0, content))
            if durable:
                inode.sync()
            directory.change({name + ".tmp": None, name: inode})
            if durable:
                directory.sync()

    def make_directory(self, path: str) -> None:
        self.meet("make_directory", path)
        with self.lock_all:
            directory = self.root
            for part in _parts(path):
                if part not in directory.children:
                    directory.change({part: Directory()})
                node = directory.children[part]
                if not isinstance(node, Directory):
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
                directory = node

    def rename(self, source: str, target: str) -> None:
        with self.lock_all:
            self.meet("rename", source)
            folder, name = posixpath.split(source)
            target_folder, target_name = posixpath.split(target)
            assert folder == target_folder, "the engine renames within a directory only"
            directory = self._directory(folder)
            if name not in directory.children:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), source)
            directory.change({name: None, target_name: directory.children[name]})

    def remove(self, path: str) -> None:
        with self.lock_all:
            self.meet("remove", path)
            folder, name = posixpath.split(path)
            directory = self._directory(folder)
            if name in directory.children:
                directory.change({name: None})

    def remove_tree(self, path: str) -> None:
        with self.lock_all:
            self.meet("remove_tree", path)
            self._directory(path)
            folder, name = posixpath.split(path)
            self._directory(folder).change({name: None})

    def sync_directory(self, path: str) -> None:
        with self.lock_all:
            self.meet("sync_directory", path)
            self._directory(path).sync()

    def before_sync(self) -> None:
        """Where syncing a file or the file system takes its time; a test may wait here."""

    def sync_filesystem(self, path: str) -> None:
        self.before_sync()
        with self.lock_all:
            self.filesystem_syncs += 1
            try:
                self.meet("sync_filesystem", path)
            except OSError:
                for _, inode in self.files():
                    inode.forget()
                raise
            self._sync_all(self.root)

    def _sync_all(self, directory: Directory) -> None:
        directory.sync()
        for node in directory.children.values():
            if isinstance(node, Directory):
                self._sync_all(node)
            else:
                node.sync()

    def space(self, path: str) -> tuple[int, int]:
        return self.free(), self.capacity if self.capacity is not None else 1 << 40

    def lock(self, path: str) -> FakeLock:
        with self.lock_all:
            if path in self.locks:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)
            if not self.exists(path):
                self.open(path, create=True)
            self.locks.add(path)
            return FakeLock(self, path)


def _survivors(pending: list[Write | Cut], choose: Chance) -> list[Write | Cut]:
    """Chooses what a power cut leaves: all, none, a part in order with the last one torn, or any of it torn anyhow."""
    kind = choose.randrange(4)
    if kind == 0 or not pending:
        return []
    if kind == 1:
        return pending
    if kind == 2:
        count = choose.randint(0, len(pending))
        kept = pending[:count]
        if count < len(pending):
            kept.append(_torn(pending[count], choose))
        return kept
    return [_torn(operation, choose) for operation in pending if choose.random() < 0.7]


def _torn(operation: Write | Cut, choose: Chance) -> Write | Cut:
    if isinstance(operation, Cut) or choose.random() < 0.5:
        return operation
    start, end = sorted((choose.randint(0, len(operation.data)), choose.randint(0, len(operation.data))))
    if choose.random() < 0.5:
        start = 0
    return Write(operation.position + start, operation.data[start:end])


def _walk(path: str, directory: Directory) -> Iterator[tuple[str, Inode]]:
    for name, node in directory.children.items():
        if isinstance(node, Directory):
            yield from _walk(f"{path}/{name}", node)
        else:
            yield f"{path}/{name}", node


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
