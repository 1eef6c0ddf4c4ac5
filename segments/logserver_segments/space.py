"""The space that is kept free on a data directory's file system: who would need it for records is refused early.

A file system that is full to the last byte serves nobody: indexes, checkpoints, what the server notes when a topic is
deleted all need a little. So records are refused while there is still room for these.
"""

from typing import Final, NamedTuple

from logserver_segments.errors import DiskFull
from logserver_segments.logs import get_logger
from logserver_segments.seams import Disk

LEAST_FREE_SETTING: Final = "log.dir.min.free.bytes"
_MARGIN_PART: Final = 8
"""So much of that has to be free beside it before records are taken again."""

_COMPACTION_PART: Final = 2

_log = get_logger("logserver.segments")


class DirectoryState(NamedTuple):
    """A data directory as people are told of it: bytes of its logs, and of its file system."""

    path: str
    size_bytes: int
    total_bytes: int
    free_bytes: int
    error: OSError | None = None


class SpaceGuard:
    """Says whether records may be appended to the logs of one data directory.

    It asks the file system when `measure` is called, as housekeeping does, and when as much has been appended since as
    was free above the limit then: what this server writes never takes it by surprise, what others write is noticed a
    little later.

    Args:
        path: any on the file system.
        least_free_bytes: to be kept free; 0 keeps none.
    """

    __slots__ = ("_disk", "_free", "_is_known", "_is_short", "_left", "_path", "least_free_bytes")

    def __init__(self, disk: Disk, path: str, least_free_bytes: int) -> None:
        self.least_free_bytes = least_free_bytes
        self._disk = disk
        self._path = path
        self._free = 0
        self._is_known = True
        self._is_short = False
        # What may be appended before the file system is asked again.
        self._left = 0

    def take(self, size: int, name: str) -> None:
        """Asks for room for `size` bytes of records of a log.

        Raises:
            DiskFull: there would be too little left.
        """
        if not self.least_free_bytes:
            return
        if size > self._left and not self._is_short:
            self.measure(size)
        # While there is too little not every attempt asks; housekeeping notices that there is enough again.
        if self._is_short or size > self._left:
            raise DiskFull(f"{name}: {self.shortage()}")
        self._left -= size

    def measure(self, wanted: int = 0) -> None:
        """Asks the file system, now and then or because there is no room for `wanted` bytes of records."""
        if not self.least_free_bytes:
            return
        try:
            self._free, _ = self._disk.space(self._path)
        except OSError as error:
            # Whether a write fails it tells itself.
            if self._is_known:
                _log.warning("free space is not known", path=self._path, error=str(error))
            self._is_known = False
            self._left = max(self._left, wanted)
            return
        self._is_known = True
        self._left = self._free - self.least_free_bytes
        # Not back and forth with every record that somebody deletes elsewhere; nor is one that is very large the end.
        margin = self.least_free_bytes // _MARGIN_PART
        is_short = self._left < (margin if self._is_short else min(wanted, margin))
        if is_short == self._is_short:
            return
        self._is_short = is_short
        fields = {"path": self._path, "free_bytes": self._free, "least_free_bytes": self.least_free_bytes}
        if is_short:
            _log.error("no records are taken: space is short, reading goes on", **fields)
        else:
            _log.info("records are taken again: there is space", **fields)

    @property
    def is_short(self) -> bool:
        """Whether no records are taken."""
        return self._is_short

    def shortage(self) -> str:
        """Returns a sentence about what is short, and what to do."""
        return (
            f"no space left for records on the disk of {self._path}: {self._free} bytes are free and "
            f"{LEAST_FREE_SETTING}={self.least_free_bytes} are to stay so; nothing was stored, reading goes on. "
            f"Free space: delete topics, or lower retention.ms / retention.bytes; writing works again without a restart"
        )


def least_free_for_compaction(guard: SpaceGuard | None) -> int:
    """Returns how many bytes a compaction has to leave free, 0 for none.

    It gives space back when it has ended, and until then takes some: where records are refused already it may be what
    helps, so it may use a part of what is kept free for that, and never all of it.
    """
    return guard.least_free_bytes // _COMPACTION_PART if guard is not None else 0
