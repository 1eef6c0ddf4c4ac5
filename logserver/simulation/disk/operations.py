"""What is done to a disk, one operation at a time: the log from which every state of it can be built again."""

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What an operation does."""

    CREATE = "create"
    MAKE_DIRECTORY = "mkdir"
    WRITE = "write"
    TRUNCATE = "truncate"
    SYNC = "fsync"
    FAILED_SYNC = "failed fsync"
    RENAME = "rename"
    REMOVE = "unlink"
    SYNC_DIRECTORY = "fsync of a directory"
    SYNC_FILESYSTEM = "syncfs"
    FAILED_SYNC_FILESYSTEM = "failed syncfs"


class Operation(NamedTuple):
    """One change of a disk, or a promise that changes are durable."""

    kind: Kind
    path: str
    """As the file was opened, or the directory is named; files that were renamed since keep their old one."""
    inode: int = -1
    """Number of the file, where its content is meant: a removed file can still be written to."""
    position: int = 0
    """In bytes: where data are written, or the size that the file is cut to."""
    data: bytes = b""
    target: str = ""
    """New path of what is renamed."""

    def __str__(self) -> str:
        more = ""
        if self.kind is Kind.WRITE:
            more = f" [{self.position}, {self.position + len(self.data)})"
        elif self.kind is Kind.TRUNCATE:
            more = f" to {self.position}"
        elif self.kind is Kind.RENAME:
            more = f" to {self.target}"
        return f"{self.kind.value} {self.path}{more}"
