"""What the files of a data directory hold, as documents: what `logserver dump` prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from logserver_records.codec import Record, decode_batch
from logserver_records.compression import Compression
from logserver_records.control import parse_marker
from logserver_records.errors import RecordError
from logserver_segments.checkpoints import CheckpointDamaged, LeaderEpochs, parse_offsets
from logserver_segments.data_directory.meta import META, parse_properties
from logserver_segments.data_directory.names import key_of
from logserver_segments.data_directory.topic_id import PARTITION_METADATA
from logserver_segments.disk import ReadOnlyDisk
from logserver_segments.index import Index
from logserver_segments.producer_snapshot import SnapshotDamaged, unpack_snapshot
from logserver_segments.segment import (
    INDEX_SUFFIX,
    LOG_SUFFIX,
    SNAPSHOT_SUFFIX,
    TIME_INDEX_SUFFIX,
    TXN_INDEX_SUFFIX,
    is_file_of_log,
    offset_of_file,
)
from logserver_segments.verification.batches import Damaged, Whole, walk
from logserver_segments.verification.task import EVERYTHING

from logserver.cli.failures import CommandFailed
from logserver.cli.internal_logs import RECORD_DECODERS
from logserver.cli.records_out import put_bytes

if TYPE_CHECKING:
    from logserver_segments.seams import File

_MAX_DECOMPRESSED: Final = 64 << 20
_ENTRIES: Final = 1 << 14
_ABORTED: Final = Struct(">hqqqq")
_OFFSET_ENTRY: Final = Struct(">ii")
_TIME_ENTRY: Final = Struct(">qi")

Document = dict[str, Any]


def documents(path: Path, *, with_records: bool) -> Iterator[Document]:
    """Yields what a file holds, piece by piece, each a document with a "type".

    Args:
        with_records: of batches, also their records.

    Raises:
        CommandFailed: it is no file that is known here.
        OSError: the disk refused.
    """
    name = path.name
    kind = f".{name.split('.')[1]}" if is_file_of_log(name) else ""
    if kind == LOG_SUFFIX or name.endswith(".checkpoint"):
        return _batches(path, with_records)
    if kind in _ENTRIES_OF:
        return _entries(path, *_ENTRIES_OF[kind])
    if kind == SNAPSHOT_SUFFIX:
        return _producers(path)
    if name == "leader-epoch-checkpoint":
        return _epochs(path)
    if name.endswith("-offset-checkpoint"):
        return _offsets(path)
    if name in (META, PARTITION_METADATA):
        return _properties(path)
    raise CommandFailed(
        f"{path} is no file that can be dumped. What a file is its name says, which is as in a data directory: 20 "
        "digits and .log (a segment), .index, .timeindex, .txnindex or .snapshot; the name of a checkpoint; "
        "meta.properties or partition.metadata."
    )


# Batches


def _batches(path: Path, with_records: bool) -> Iterator[Document]:
    file = ReadOnlyDisk().open(str(path))
    key = key_of(path.absolute().parent.name)
    decoder = RECORD_DECODERS.get(key[0]) if key is not None else None
    # What was cut out may begin anywhere.
    for item in walk(file, file.size(), next_offset=0, end_offset=EVERYTHING):
        if isinstance(item, Damaged):
            yield {
                "type": "damage",
                "position": item.position,
                "size": item.end - item.position,
                "reason": item.reason,
            }
            continue
        yield _batch(item)
        if with_records:
            yield from _records(file, item, decoder)


def _batch(item: Whole) -> Document:
    header = item.header
    try:
        compression = Compression.of(header.compression).name.lower()
    except RecordError:
        compression = str(header.compression)
    return {
        "type": "batch",
        "position": item.position,
        "size": header.size,
        "base_offset": header.base_offset,
        "last_offset": header.last_offset,
        "records": header.record_count,
        "leader_epoch": header.leader_epoch,
        "timestamp_type": "LogAppendTime" if header.is_log_append_time else "CreateTime",
        "base_timestamp": header.base_timestamp,
        "max_timestamp": header.max_timestamp,
        "compression": compression,
        "producer_id": header.producer_id,
        "producer_epoch": header.producer_epoch,
        "base_sequence": header.base_sequence,
        "transactional": header.is_transactional,
        "control": header.is_control,
        "crc": header.crc,
    }


def _records(file: File, item: Whole, decoder: Callable[[Record], Any] | None) -> Iterator[Document]:
    header = item.header
    try:
        found = decode_batch(file.read(header.size, item.position), max_decompressed_bytes=_MAX_DECOMPRESSED)
    except RecordError as error:
        yield {"type": "damage", "position": item.position, "size": header.size, "reason": str(error)}
        return
    for record in found:
        document: Document = {"type": "record", "offset": record.offset, "timestamp": record.timestamp_ms}
        put_bytes(document, "key", record.key)
        put_bytes(document, "value", record.value)
        document["headers"] = [_header(name, value) for name, value in record.headers]
        meaning = _marker(record) if header.is_control else decoder(record) if decoder is not None else None
        if meaning is not None:
            document["meaning"] = meaning
        yield document


def _header(name: str, value: bytes | None) -> Document:
    document: Document = {"key": name}
    put_bytes(document, "value", value)
    return document


def _marker(record: Record) -> Any:
    try:
        marker = parse_marker(record)
    except RecordError as error:
        return f"unreadable: {error}"
    if marker is None:
        return "a control record of another kind"
    return {"marker": marker.control_type.name.lower(), "coordinator_epoch": marker.coordinator_epoch}


# Indexes


def _offset_entry(base: int, entry: tuple[int, ...]) -> Document:
    return {"type": "offset", "offset": base + entry[0], "position": entry[1]}


def _time_entry(base: int, entry: tuple[int, ...]) -> Document:
    return {"type": "timestamp", "timestamp": entry[0], "offset": base + entry[1]}


def _aborted_entry(base: int, entry: tuple[int, ...]) -> Document:
    names = ("version", "producer_id", "first_offset", "last_offset", "last_stable_offset")
    return {"type": "aborted transaction", **dict(zip(names, entry, strict=True))}


_ENTRIES_OF: Final[dict[str, tuple[Struct, Callable[[int, tuple[int, ...]], Document]]]] = {
    INDEX_SUFFIX: (_OFFSET_ENTRY, _offset_entry),
    TIME_INDEX_SUFFIX: (_TIME_ENTRY, _time_entry),
    TXN_INDEX_SUFFIX: (_ABORTED, _aborted_entry),
}
assert Index.entry_size("offset") == _OFFSET_ENTRY.size and Index.entry_size("time") == _TIME_ENTRY.size


def _entries(path: Path, layout: Struct, document: Callable[[int, tuple[int, ...]], Document]) -> Iterator[Document]:
    base, position = offset_of_file(path.name), 0
    with path.open("rb") as file:
        while content := file.read(layout.size * _ENTRIES):
            whole = len(content) - len(content) % layout.size
            for entry in layout.iter_unpack(content[:whole]):
                yield document(base, entry)
            position += whole
            if whole < len(content):
                left = len(content) - whole
                yield {"type": "damage", "position": position, "size": left, "reason": "no whole entry"}


# Small files


def _producers(path: Path) -> Iterator[Document]:
    try:
        found = unpack_snapshot(path.read_bytes())
    except SnapshotDamaged as error:
        yield {"type": "damage", "position": 0, "size": path.stat().st_size, "reason": str(error)}
        return
    for producer_id, producer in found:
        last = producer.batches[-1] if producer.batches else None
        yield {
            "type": "producer",
            "producer_id": producer_id,
            "producer_epoch": producer.epoch,
            "last_sequence": last.last_sequence if last is not None else -1,
            "last_offset": last.last_offset if last is not None else -1,
            "timestamp": producer.timestamp_ms,
            "coordinator_epoch": producer.coordinator_epoch,
            "transaction_first_offset": producer.transaction_first_offset,
        }


def _epochs(path: Path) -> Iterator[Document]:
    epochs = LeaderEpochs()
    try:
        epochs.load(path.read_bytes())
    except CheckpointDamaged as error:
        yield {"type": "damage", "position": 0, "size": path.stat().st_size, "reason": str(error)}
    for epoch, start_offset in epochs.entries():
        yield {"type": "leader epoch", "leader_epoch": epoch, "start_offset": start_offset}


def _offsets(path: Path) -> Iterator[Document]:
    try:
        found = parse_offsets(path.read_bytes())
    except CheckpointDamaged as error:
        yield {"type": "damage", "position": 0, "size": path.stat().st_size, "reason": str(error)}
        return
    for (topic, partition), offset in found.items():
        yield {"type": "offset of a partition", "topic": topic, "partition": partition, "offset": offset}


def _properties(path: Path) -> Iterator[Document]:
    content = path.read_bytes()
    if path.name == PARTITION_METADATA:
        lines = content.decode("utf-8", "replace").splitlines()
        found = dict(line.split(": ", 1) for line in lines if ": " in line)
    else:
        found = parse_properties(content)
    # Whatever is in it: what it is stays.
    yield {"type": "properties", **found} | {"type": "properties"}


def text_of(document: Document) -> str:
    """Returns a document as a line for people."""
    kind = document["type"]
    if kind == "batch":
        marks = [name for name in ("transactional", "control") if document[name]]
        return (
            f"position {document['position']}: {' '.join([*marks, 'batch'])} of offsets {document['base_offset']} to "
            f"{document['last_offset']}, {document['records']} records, {document['size']} bytes, leader epoch "
            f"{document['leader_epoch']}, {document['timestamp_type']} {document['base_timestamp']} to "
            f"{document['max_timestamp']}, compression {document['compression']}, producer {document['producer_id']} "
            f"epoch {document['producer_epoch']} sequence {document['base_sequence']}, crc {document['crc']:#010x}"
        )
    if kind == "damage":
        return f"position {document['position']}: {document['size']} bytes that are damaged: {document['reason']}"
    fields = ", ".join(f"{name} {_text(value)}" for name, value in document.items() if name not in ("type", "meaning"))
    if kind != "record":
        return f"{kind}: {fields}"
    meaning = f"\n        {_text(document['meaning'])}" if "meaning" in document else ""
    return f"    {fields}{meaning}"


def _text(value: Any) -> str:
    return str(value) if isinstance(value, int) else json.dumps(value, ensure_ascii=False)
