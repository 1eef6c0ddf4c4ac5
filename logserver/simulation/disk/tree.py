"""The files and directories of a disk: as programs see them, as they are durable, and what lies between.

Durable is the content of a file as of its last sync, and the entries of a directory as of its last sync. Syncing a file
does not sync its directory entry. After a sync that failed, what it should have written is visible and never becomes
durable, as with Linux's page cache; who syncs a file whose data a failed sync of the whole file system has lost is
told, too.
"""

import errno
import os
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from logserver.simulation.disk.operations import Kind, Operation


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

    def __init__(self, number: int = -1, content: bytes = b"") -> None:
        self.number = number
        self.data = bytearray(content)
        self.durable = content
        self.pending: list[Write | Cut] = []
        self.has_error = False
        """Whether data was lost by a failed sync of the file system, which the next sync of the file has to tell."""

    def write(self, data: bytes, position: int) -> None:
        """Writes; a gap before the position becomes zeros."""
        if not data:
            return
        self.pending.append(Write(position, data))
        end = position + len(data)
        if end > len(self.data):
            missing = bytes(end - len(self.data))
            try:
                self.data += missing
            except BufferError:
                # A bytearray can't grow while mappings look at it, a file can.
                self.data = self.data + missing
        self.data[position:end] = data

    def cut(self, size: int) -> None:
        """Sets the size.

        Raises:
            BufferError: a mapping looks at what would be gone.
        """
        if size < len(self.data):
            del self.data[size:]
        else:
            self.data = self.data + bytes(size - len(self.data))
        self.pending.append(Cut(size))

    def sync(self) -> None:
        """Makes everything durable."""
        if self.pending:
            self.durable = apply(self.durable, self.pending)
            self.pending = []

    def forget(self) -> None:
        """A sync failed: data that it should have made durable never will be. Sizes are the journal's business."""
        self.pending = [operation for operation in self.pending if isinstance(operation, Cut)]
        self.has_error = False

    def forget_untold(self) -> None:
        """As `forget`, where whoever syncs the file has not been told."""
        lost = self.has_error or any(isinstance(operation, Write) for operation in self.pending)
        self.forget()
        self.has_error = lost


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
        """Puts entries, or removes those that are None."""
        put(self.children, change)
        self.pending.append(change)

    def sync(self) -> None:
        """Makes the entries durable."""
        self.durable = dict(self.children)
        self.pending = []


Node = Inode | Directory


def put(entries: dict[str, Node], change: dict[str, Node | None]) -> None:
    """Applies a change of a directory to its entries."""
    for name, node in change.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


class Tree:
    """The whole of a disk. Every change goes through `apply`, so that the same operations make the same tree.

    Args:
        root: what is there; nothing by default.
    """

    def __init__(self, root: Directory | None = None) -> None:
        self.root: Final = root or Directory()
        self._inodes = {inode.number: inode for _, inode in self.files()}
        self.next_number = max(self._inodes, default=-1) + 1

    def files(self) -> Iterator[tuple[str, Inode]]:
        """Yields (path, inode) of all files."""
        yield from _walk("", self.root)

    def node(self, path: str) -> Node | None:
        """Returns what is at a path, or None."""
        node: Node = self.root
        for part in path.split("/"):
            if part:
                found = node.children.get(part) if isinstance(node, Directory) else None
                if found is None:
                    return None
                node = found
        return node

    def directory(self, path: str) -> Directory:
        """Returns a directory.

        Raises:
            OSError: there is none.
        """
        node = self.node(path)
        if isinstance(node, Directory):
            return node
        code = errno.ENOENT if node is None else errno.ENOTDIR
        raise OSError(code, os.strerror(code), path)

    def inode(self, path: str) -> Inode:
        """Returns a file.

        Raises:
            FileNotFoundError: there is none.
        """
        node = self.node(path)
        if not isinstance(node, Inode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return node

    def has(self, inode: Inode) -> bool:
        """Returns whether a file is, or once was, in this tree."""
        return self._inodes.get(inode.number) is inode

    def apply(self, operation: Operation) -> None:
        """Does an operation that is possible."""
        kind = operation.kind
        if kind is Kind.WRITE:
            self._inodes[operation.inode].write(operation.data, operation.position)
        elif kind is Kind.TRUNCATE:
            self._inodes[operation.inode].cut(operation.position)
        elif kind is Kind.SYNC:
            self._inodes[operation.inode].sync()
        elif kind is Kind.FAILED_SYNC:
            self._inodes[operation.inode].forget()
        elif kind is Kind.SYNC_DIRECTORY:
            self.directory(operation.path).sync()
        elif kind is Kind.SYNC_FILESYSTEM:
            _sync_all(self.directory(operation.path))
        elif kind is Kind.FAILED_SYNC_FILESYSTEM:
            for _, inode in _walk(operation.path, self.directory(operation.path)):
                inode.forget_untold()
        else:
            self._change_entries(operation)

    def _change_entries(self, operation: Operation) -> None:
        folder, name = posixpath.split(operation.path)
        directory = self.directory(folder)
        if operation.kind is Kind.CREATE:
            inode = self._inodes[operation.inode] = Inode(operation.inode)
            self.next_number = max(self.next_number, operation.inode + 1)
            directory.change({name: inode})
        elif operation.kind is Kind.MAKE_DIRECTORY:
            directory.change({name: Directory()})
        elif operation.kind is Kind.REMOVE:
            directory.change({name: None})
        else:
            assert operation.kind is Kind.RENAME
            target_folder, target = posixpath.split(operation.target)
            node = directory.children[name]
            if target_folder == folder:
                directory.change({name: None, target: node})
            else:
                # Two directories, which a crash may find one of changed.
                self.directory(target_folder).change({target: node})
                directory.change({name: None})

    def copy(self) -> "Tree":
        """Returns a tree of its own with the same content and the same that is not durable yet."""
        return Tree(_copied(self.root, {}))


def _copied(directory: Directory, seen: dict[int, Node]) -> Directory:
    """Copies a directory with all that its entries were since it was durable."""
    known = seen.get(id(directory))
    if known is not None:
        assert isinstance(known, Directory)
        return known
    copy = Directory()
    seen[id(directory)] = copy

    def copied(node: Node) -> Node:
        if isinstance(node, Directory):
            return _copied(node, seen)
        found = seen.get(id(node))
        if found is None:
            found = Inode(node.number)
            found.data, found.durable, found.pending = bytearray(node.data), node.durable, list(node.pending)
            found.has_error = node.has_error
            seen[id(node)] = found
        return found

    copy.children = {name: copied(node) for name, node in directory.children.items()}
    copy.durable = {name: copied(node) for name, node in directory.durable.items()}
    copy.pending = [
        {name: None if node is None else copied(node) for name, node in change.items()} for change in directory.pending
    ]
    return copy


def _sync_all(directory: Directory) -> None:
    directory.sync()
    for node in directory.children.values():
        if isinstance(node, Directory):
            _sync_all(node)
        else:
            node.sync()


def _walk(path: str, directory: Directory) -> Iterator[tuple[str, Inode]]:
    for name, node in directory.children.items():
        if isinstance(node, Directory):
            yield from _walk(f"{path}/{name}", node)
        else:
            yield f"{path}/{name}", node
