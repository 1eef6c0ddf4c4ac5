"""Offsets that were committed inside transactions which have not ended: of no effect until those are committed.

Source: KIP-98, KIP-447; Apache Kafka: `OffsetMetadataManager.replayEndTransactionMarker`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from logserver.coordinator.formats import OffsetCommitKey, OffsetCommitValue


class _Pending(NamedTuple):
    at: int
    """Where in the log it stands: of several for one key, the last one in the log counts, whichever ends last."""
    value: OffsetCommitValue


class PendingOffsets:
    """The offsets of open transactions, by the producer. Only what was written to the log changes it."""

    def __init__(self) -> None:
        self._producers: dict[int, dict[OffsetCommitKey, _Pending]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._producers.values()))

    def add(self, producer_id: int, key: OffsetCommitKey, value: OffsetCommitValue, at: int) -> None:
        """Takes in an offset of an open transaction.

        Args:
            at: offset of the record.
        """
        self._producers.setdefault(producer_id, {})[key] = _Pending(at, value)

    def end(self, producer_id: int, is_commit: bool) -> dict[OffsetCommitKey, OffsetCommitValue]:
        """Ends a producer's transaction; returns the offsets that are in force from here on."""
        pending = self._producers.pop(producer_id, {})
        if not is_commit:
            return {}
        for key, item in pending.items():
            self._overtake(key, item.at)
        return {key: item.value for key, item in pending.items()}

    def overtaken(self, key: OffsetCommitKey) -> None:
        """Forgets what is pending for a key because something newer is in force, or the key was deleted."""
        if self._producers:
            self._overtake(key, None)

    def _overtake(self, key: OffsetCommitKey, before: int | None) -> None:
        for producer_id, pending in tuple(self._producers.items()):
            item = pending.get(key)
            if item is not None and (before is None or item.at < before):
                del pending[key]
                if not pending:
                    del self._producers[producer_id]

    def is_pending(self, key: OffsetCommitKey) -> bool:
        """Whether an open transaction has an offset for a key."""
        return any(key in pending for pending in self._producers.values())

    def groups(self) -> set[str]:
        """Returns the ids of groups that have any."""
        return {key.group for pending in self._producers.values() for key in pending}

    def of(self, group_id: str) -> Iterator[OffsetCommitKey]:
        """Yields the keys of a group that are pending, some of them several times."""
        for pending in self._producers.values():
            for key in pending:
                if key.group == group_id:
                    yield key
