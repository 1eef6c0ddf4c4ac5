"""The one place where the storage engine's errors become the domain's."""

from collections.abc import Sequence
from typing import Final

from logserver_segments import errors as storage

from logserver.errors import ErrorCode, LogServerError

_CODES: Final[dict[type[storage.StorageError], ErrorCode]] = {
    storage.InvalidRecords: ErrorCode.invalid_record,
    storage.CorruptRecords: ErrorCode.corrupt_message,
    storage.RecordsTooLarge: ErrorCode.message_too_large,
    storage.RecordListTooLarge: ErrorCode.record_list_too_large,
    storage.InvalidTimestamp: ErrorCode.invalid_timestamp,
    storage.InvalidTransactionState: ErrorCode.invalid_txn_state,
    storage.OutOfOrderSequence: ErrorCode.out_of_order_sequence_number,
    storage.DuplicateSequence: ErrorCode.duplicate_sequence_number,
    storage.StaleProducerEpoch: ErrorCode.invalid_producer_epoch,
    storage.CoordinatorFenced: ErrorCode.transaction_coordinator_fenced,
    storage.OffsetOutOfRange: ErrorCode.offset_out_of_range,
    storage.LogOffline: ErrorCode.kafka_storage_error,
    storage.DiskFull: ErrorCode.kafka_storage_error,
    storage.WriteFailed: ErrorCode.kafka_storage_error,
}


class RecordsRefused(LogServerError):
    """Records that may not be stored, with those of them that are why where it is about single ones (KIP-467)."""

    def __init__(self, code: ErrorCode, message: str, refused: Sequence[storage.RefusedRecord]) -> None:
        super().__init__(code, message)
        self.refused = refused


def domain_error(error: storage.StorageError | OSError) -> LogServerError:
    """Returns what clients are told about an error of the storage engine or its disk."""
    if isinstance(error, storage.InvalidRecords):
        return RecordsRefused(_CODES[type(error)], str(error), error.refused)
    if isinstance(error, storage.StorageError):
        return LogServerError(_CODES.get(type(error), ErrorCode.kafka_storage_error), str(error))
    where = f" ({error.filename})" if error.filename else ""
    return LogServerError(ErrorCode.kafka_storage_error, f"the disk refused: {error.strerror or error}{where}")
