"""Reading the records of a log whose server is stopped, as far as they can be read."""

from collections.abc import Iterator

from logserver_records.batch import BatchHeader
from logserver_records.codec import Record, decode_batch
from logserver_records.errors import RecordError

from logserver_segments.seams import Disk
from logserver_segments.segment import LOG_SUFFIX, is_file_of_log
from logserver_segments.verification.batches import Damaged, walk
from logserver_segments.verification.task import EVERYTHING

_MAX_DECOMPRESSED = 64 << 20


def read_log(directory: str, disk: Disk) -> Iterator[tuple[BatchHeader, list[Record]]]:
    """Yields (header, records) of all batches in a log's directory, in order; damaged ones are passed by.

    Raises:
        OSError: the disk refused.
    """
    entries = [entry for entry in disk.list(directory) if is_file_of_log(entry.name)]
    for entry in sorted(entry for entry in entries if entry.name.endswith(LOG_SUFFIX)):
        file = disk.open(f"{directory}/{entry.name}")
        for item in walk(file, entry.size, next_offset=0, end_offset=EVERYTHING):
            if isinstance(item, Damaged):
                continue
            batch = file.read(item.header.size, item.position)
            try:
                yield item.header, decode_batch(batch, max_decompressed_bytes=_MAX_DECOMPRESSED)
            except RecordError:
                continue
