"""The markers that end transactions, as they stand in control batches."""

from typing import Final

from logserver_records.batch import BatchHeader, Buffer
from logserver_records.codec import decode_batch
from logserver_records.control import EndTransactionMarker, parse_marker
from logserver_records.errors import RecordError

from logserver_segments.seams import File

MOST_BYTES: Final = 1 << 16
"""A control batch has less than a hundred; what is larger is none of ours."""


def read_marker(buffer: Buffer, position: int = 0) -> EndTransactionMarker | None:
    """Returns the marker in a control batch; None if it holds another kind of control record, or was emptied.

    Raises:
        RecordError: it can't be read.
    """
    records = decode_batch(buffer, position, max_decompressed_bytes=MOST_BYTES)
    return parse_marker(records[0]) if records else None


def stored_marker(file: File, position: int, header: BatchHeader) -> EndTransactionMarker | None:
    """Returns the marker in a control batch of a segment file; None also if it can't be read, as it ends nothing then.

    Raises:
        OSError: the disk refused.
    """
    if header.size > MOST_BYTES:
        return None
    try:
        return read_marker(file.read(header.size, position))
    except RecordError:
        return None
