"""What can go wrong in the storage engine. The broker maps these to protocol error codes in one place."""

from collections.abc import Sequence
from typing import NamedTuple


class RefusedRecord(NamedTuple):
    """A record for whose sake its batch was refused (KIP-467)."""

    number: int
    """In its batch, from 0."""
    reason: str


class StorageError(Exception):
    """Base of the storage engine's errors."""


class InvalidRecords(StorageError):
    """The payload is whole, but its batches may not be appended as they are.

    Args:
        refused: the records that are why, where it is about single ones; the first of them if there are very many.
    """

    def __init__(self, message: str, refused: Sequence[RefusedRecord] = ()) -> None:
        super().__init__(message)
        self.refused = refused


class CorruptRecords(StorageError):
    """Bytes that are no valid record batches: in a payload to append, or found on disk where no crash explains it."""


class RecordsTooLarge(StorageError):
    """A batch is larger than `max.message.bytes`."""


class RecordListTooLarge(StorageError):
    """A payload is larger than a whole segment may be."""


class InvalidTimestamp(InvalidRecords):
    """A timestamp outside `message.timestamp.before.max.ms` / `message.timestamp.after.max.ms`."""


class InvalidTransactionState(InvalidRecords):
    """A transactional batch of a producer that has no transaction open, or another one while it has."""


class OutOfOrderSequence(StorageError):
    """An idempotent batch leaves a gap behind the producer's last one."""


class DuplicateSequence(StorageError):
    """An idempotent batch older than the last five of its producer, which are all that is remembered."""


class StaleProducerEpoch(StorageError):
    """A batch or marker of a producer epoch that was followed by a newer one."""


class CoordinatorFenced(StorageError):
    """A marker of a transaction coordinator that was followed by one with a newer epoch."""


class OffsetOutOfRange(StorageError):
    """An offset below the log start or above the log end."""


class LogOffline(StorageError):
    """The log can't be used since an earlier write or flush of it failed, or it was closed."""


class DiskFull(StorageError):
    """No space left for the append; nothing was stored, reading goes on, a later attempt may work."""


class WriteFailed(StorageError):
    """The disk refused a write, and not because it is full; whether the log is offline now, the log tells."""


class ReadFailed(StorageError):
    """The disk refused to read; the log stays as it is."""


class DirectoryInUse(StorageError):
    """Another process has the data directory open."""


class ForeignDirectory(StorageError):
    """The directory holds something that is not this server's data."""
