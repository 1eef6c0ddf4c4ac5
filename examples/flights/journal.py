"""What a worker of a group has done, line by line in a file of its own that outlives its death.

    + NS PARTITION...            owns these partitions from now on
    r PARTITION OFFSET ROW SUM   has worked on this record (SUM: digest of key, value and timestamp)
    c NS PARTITION:OFFSET...     has got the answer that these offsets are committed
    - NS PARTITION...            has given up these partitions
    ! NS PARTITION...            has lost them, without being asked

NS is the machine's monotonic clock in nanoseconds, the same for all processes.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Final

from .readback import ROW_HEADER, Place, StoredRecord

_SUM_BYTES: Final = 8


def checksum(key: bytes | None, value: bytes | None, timestamp_ms: int) -> str:
    """What tells records of different content apart."""
    return blake2b(b"%d %b %b" % (timestamp_ms, key or b"", value or b""), digest_size=_SUM_BYTES).hexdigest()


class JournalWriter:
    """The worker's side. A line that was written survives a SIGKILL of the process: the kernel has it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def took(self, partitions: Iterable[int]) -> None:
        """Partitions are this worker's."""
        self._event("+", partitions)

    def gave_up(self, partitions: Iterable[int]) -> None:
        """Partitions are others' from now on; what was done of them is committed."""
        self._event("-", partitions)

    def lost(self, partitions: Iterable[int]) -> None:
        """Partitions have become others' while this worker had uncommitted work, perhaps."""
        self._event("!", partitions)

    def worked_on(self, records: Iterable[StoredRecord]) -> None:
        """These records are done."""
        self._write(
            f"r {record.partition} {record.offset} {(dict(record.headers).get(ROW_HEADER) or b'-1').decode()} "
            f"{checksum(record.key, record.value, record.timestamp_ms)}\n"
            for record in records
        )

    def committed(self, offsets: Mapping[int, int]) -> None:
        """By partition: the offset behind the last record that is done; the server has answered."""
        self._event("c", (f"{partition}:{offset}" for partition, offset in offsets.items()))

    def close(self) -> None:
        self._file.close()

    def _event(self, kind: str, words: Iterable[object]) -> None:
        self._write([" ".join([kind, str(time.monotonic_ns()), *map(str, words)]) + "\n"])

    def _write(self, lines: Iterable[str]) -> None:
        self._file.write("".join(lines).encode())


@dataclass
class Stint:
    """The time for which a worker owned a partition, and the records it worked on, in its order."""

    partition: int
    began_ns: int
    ended_ns: int | None = None
    """When it was given up or lost; None if it was the worker's to the end of its journal."""

    offsets: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    sums: list[str] = field(default_factory=list)
    commits: list[tuple[int, int]] = field(default_factory=list)
    """When the answer came, and the committed offset."""

    def is_open(self, at_ns: int | None) -> bool:
        """Whether the worker owned the partition at a moment; None is the end of the journal."""
        if at_ns is None:
            return self.ended_ns is None
        return self.began_ns <= at_ns and (self.ended_ns is None or self.ended_ns > at_ns)

    def uncommitted(self, at_ns: int | None) -> set[Place]:
        """The records that no commit answered before a moment covers, up to the first one answered after it."""
        before = [offset for answered_ns, offset in self.commits if at_ns is None or answered_ns < at_ns]
        after = [offset for answered_ns, offset in self.commits if at_ns is not None and answered_ns >= at_ns]
        first = max(before, default=0)
        return {
            Place(self.partition, offset)
            for offset in self.offsets
            if offset >= first and (not after or offset < after[0])
        }


class Journal:
    """The reader's side, which can follow a file that is being written."""

    def __init__(self, path: Path) -> None:
        self.stints: list[Stint] = []
        self.losses = 0
        """Partitions that were lost rather than given up."""

        self._path = path
        self._position = 0
        self._stints: dict[int, Stint] = {}

    @property
    def count(self) -> int:
        """Records worked on, as often as that was done."""
        return sum(len(stint.offsets) for stint in self.stints)

    @property
    def partitions(self) -> set[int]:
        """What the worker owns at the end of what has been read."""
        return set(self._stints)

    def uncommitted(self, at_ns: int | None = None) -> set[Place]:
        """The records of the partitions owned at a moment that were worked on and not known to be committed."""
        return {place for stint in self.stints if stint.is_open(at_ns) for place in stint.uncommitted(at_ns)}

    def catch_up(self) -> None:
        """Takes in the lines that have come; a last one without its end is not there."""
        with self._path.open("rb") as file:
            file.seek(self._position)
            text, newline, _ = file.read().rpartition(b"\n")
        self._position += len(text) + len(newline)
        for line in text.decode().splitlines():
            kind, *words = line.split()
            self._take(kind, words)

    def _take(self, kind: str, words: Sequence[str]) -> None:
        if kind == "r":
            stint = self._stints[int(words[0])]
            stint.offsets.append(int(words[1]))
            stint.rows.append(int(words[2]))
            stint.sums.append(words[3])
            return
        at_ns, *rest = words
        for word in rest:
            partition, _, offset = word.partition(":")
            if kind == "+":
                self._begin(Stint(int(partition), int(at_ns)))
            elif kind == "c":
                self._stints[int(partition)].commits.append((int(at_ns), int(offset)))
            else:
                self._stints.pop(int(partition)).ended_ns = int(at_ns)
                self.losses += kind == "!"

    def _begin(self, stint: Stint) -> None:
        self.stints.append(stint)
        self._stints[stint.partition] = stint
