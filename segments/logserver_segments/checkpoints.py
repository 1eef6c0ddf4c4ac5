"""The small text files that remember offsets and epochs, in Kafka's formats.

Offset checkpoints (`recovery-point-offset-checkpoint`, `log-start-offset-checkpoint`, `cleaner-offset-checkpoint`): a
line `0` (version), a line with the count, then lines `topic partition offset`. Leader epochs
(`leader-epoch-checkpoint` in a partition's directory): the same with lines `epoch startOffset` (Kafka:
`CheckpointFile`).
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Final

RECOVERY_POINTS: Final = "recovery-point-offset-checkpoint"
LOG_STARTS: Final = "log-start-offset-checkpoint"
CLEANED: Final = "cleaner-offset-checkpoint"
LEADER_EPOCHS: Final = "leader-epoch-checkpoint"

_VERSION: Final = "0"

TopicPartition = tuple[str, int]


class CheckpointDamaged(Exception):
    """A checkpoint file that can't be read."""


def _lines(content: bytes) -> list[str]:
    try:
        lines = content.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise CheckpointDamaged("it is not text") from None
    # Without the last line break the last number may have lost digits.
    if lines.pop():
        raise CheckpointDamaged("its last line is cut short")
    if len(lines) < 2 or lines[0].strip() != _VERSION:
        raise CheckpointDamaged(f"its first line is not version {_VERSION}")
    if not lines[1].isdigit() or int(lines[1]) != len(lines) - 2:
        raise CheckpointDamaged(f"it says {lines[1]!r} entries and has {len(lines) - 2}")
    return lines[2:]


def _content(lines: Iterable[str]) -> bytes:
    entries = list(lines)
    return "\n".join((_VERSION, str(len(entries)), *entries, "")).encode("ascii")


def format_offsets(offsets: Mapping[TopicPartition, int]) -> bytes:
    """Returns the content of an offset checkpoint file."""
    return _content(f"{topic} {partition} {offset}" for (topic, partition), offset in sorted(offsets.items()))


def parse_offsets(content: bytes) -> dict[TopicPartition, int]:
    """Returns the offsets in an offset checkpoint file.

    Raises:
        CheckpointDamaged: the content is not one.
    """
    offsets: dict[TopicPartition, int] = {}
    for line in _lines(content):
        fields = line.split()
        try:
            topic, partition, offset = fields[0], int(fields[1]), int(fields[2])
        except (IndexError, ValueError):
            raise CheckpointDamaged(f"the line {line!r} is not 'topic partition offset'") from None
        offsets[topic, partition] = offset
    return offsets


class LeaderEpochs:
    """Which leader epoch wrote from which offset on (KIP-101); both columns rise."""

    __slots__ = ("_epochs", "_starts")

    def __init__(self) -> None:
        self._epochs: list[int] = []
        self._starts: list[int] = []

    @property
    def latest(self) -> int | None:
        """The epoch of the last batch, or None for a log that never had one."""
        return self._epochs[-1] if self._epochs else None

    def assign(self, epoch: int, start_offset: int) -> bool:
        """Notes that batches from `start_offset` on are of `epoch`; returns whether that is news."""
        if self._epochs and epoch <= self._epochs[-1]:
            return False
        while self._starts and self._starts[-1] >= start_offset:
            self._epochs.pop()
            self._starts.pop()
        self._epochs.append(epoch)
        self._starts.append(start_offset)
        return True

    def truncate_end(self, end_offset: int) -> bool:
        """Forgets epochs that began at or behind `end_offset`; returns whether there were any."""
        count = len(self._starts)
        while self._starts and self._starts[-1] >= end_offset:
            self._epochs.pop()
            self._starts.pop()
        return len(self._starts) != count

    def truncate_start(self, start_offset: int) -> bool:
        """Forgets epochs that ended before `start_offset`; returns whether something changed."""
        keep = bisect_right(self._starts, start_offset) - 1
        if keep < 0 or (keep == 0 and self._starts[0] == start_offset):
            return False
        del self._epochs[:keep]
        del self._starts[:keep]
        self._starts[0] = start_offset
        return True

    def end_offset_of(self, epoch: int, log_end_offset: int) -> tuple[int, int] | None:
        """Returns (the largest epoch <= `epoch`, the offset where it ended); None if there is none."""
        at = bisect_right(self._epochs, epoch) - 1
        if at < 0:
            return None
        return self._epochs[at], self._starts[at + 1] if at + 1 < len(self._starts) else log_end_offset

    def entries(self) -> list[tuple[int, int]]:
        """Returns all (epoch, start offset)."""
        return list(zip(self._epochs, self._starts, strict=True))

    def to_file(self) -> bytes:
        """Returns the content of a leader-epoch-checkpoint file."""
        return _content(f"{epoch} {start}" for epoch, start in self.entries())

    def load(self, content: bytes) -> None:
        """Replaces everything by what a leader-epoch-checkpoint file holds.

        Raises:
            CheckpointDamaged: the content is not one, or not in rising order.
        """
        epochs: list[int] = []
        starts: list[int] = []
        for line in _lines(content):
            try:
                epoch, start = (int(field) for field in line.split())
            except ValueError:
                raise CheckpointDamaged(f"the line {line!r} is not 'epoch offset'") from None
            if epochs and (epoch <= epochs[-1] or start < starts[-1]):
                raise CheckpointDamaged(f"the line {line!r} is out of order")
            epochs.append(epoch)
            starts.append(start)
        self._epochs, self._starts = epochs, starts
