"""What is fuzzed: each target takes any bytes, and raises nothing but what its code says that it raises on bad ones."""

import contextlib
import struct
from collections.abc import Callable
from typing import Final

from crc32c import crc32c
from logserver_records.batch import whole_batches
from logserver_records.codec import build_batch, decode_batch
from logserver_records.compression import Compression, compress, decompress
from logserver_records.control import ControlType, EndTransactionMarker, build_marker
from logserver_records.errors import RecordError
from logserver_segments.checkpoints import CheckpointDamaged, LeaderEpochs, parse_offsets
from logserver_segments.errors import StorageError
from logserver_segments.producer_snapshot import SnapshotDamaged, unpack_snapshot
from logserver_segments.validation import check_payload

from logserver.coordinator.formats import FormatError, decode
from logserver.coordinator.transactions import formats as transactions
from logserver.errors import LogServerError
from logserver.grpc_api.produce_request import read_produce_request, read_produce_stream_request
from logserver.kafka_api.codec import Budget, MalformedMessage, read_within, versions_of
from logserver.kafka_api.codec.schema import api_keys
from logserver.kafka_api.frames import read_header
from logserver.simulation.disk import RecordingDisk
from tests.segments.support import NOW, PATH, SMALL, Box, read_all

Target = Callable[[bytes], None]

_MOST_BYTES: Final = 1 << 16
_CRC_AT: Final = 17
_CRC_FROM: Final = 21


def frames(data: bytes) -> None:
    """The header of a Kafka request, and the message behind it."""
    try:
        header = read_header(bytearray(data), 0, len(data))
        api_key = header.route.api.key
        read_within(api_key, header.route.version, memoryview(data)[header.body :], Budget(10_000))
    except MalformedMessage:
        return


def messages(data: bytes) -> None:
    """Any message of any version; the first two bytes say which."""
    if len(data) < 2:
        return
    keys = sorted(api_keys())
    try:
        lowest, highest = versions_of(keys[data[0] % len(keys)])
        version = lowest + data[1] % (highest - lowest + 1)
        read_within(keys[data[0] % len(keys)], version, memoryview(data)[2:], Budget(10_000))
    except MalformedMessage:
        return


def grpc_produce(data: bytes) -> None:
    """A ProduceRequest, read by hand."""
    from google.protobuf.message import DecodeError

    for read in (read_produce_request, read_produce_stream_request):
        try:
            for item in read(data).partitions:
                assert item.topic is not None
        except (DecodeError, LogServerError):
            continue


def _with_crc(data: bytes) -> bytes:
    """Makes the checksum right: it is no proof of good intent."""
    if len(data) <= _CRC_FROM:
        return data
    return data[:_CRC_AT] + struct.pack(">I", crc32c(data[_CRC_FROM:])) + data[_CRC_FROM:]


def batches(data: bytes) -> None:
    """Record batches as a client sends them: checked, and decoded."""
    data = _with_crc(data)
    with contextlib.suppress(RecordError, StorageError):
        check_payload(data, SMALL, NOW)
    try:
        for position, _ in whole_batches(data):
            decode_batch(data, position, max_decompressed_bytes=_MOST_BYTES, verify_crc=True)
    except RecordError:
        return


def compressed(data: bytes) -> None:
    """Compressed records; the first byte says how."""
    if not data:
        return
    try:
        plain = decompress(Compression(data[0] % 5), memoryview(data)[1:], max_bytes=_MOST_BYTES)
    except RecordError:
        return
    assert len(plain) <= max(_MOST_BYTES, len(data))


def checkpoints(data: bytes) -> None:
    """Recovery points, log start offsets, leader epochs."""
    with contextlib.suppress(CheckpointDamaged):
        parse_offsets(data)
    try:
        LeaderEpochs().load(data)
    except CheckpointDamaged:
        return


def snapshots(data: bytes) -> None:
    """Snapshots of producers, with the checksum made right."""
    for content in (data, data[:2] + struct.pack(">I", crc32c(data[6:])) + data[6:]):
        try:
            unpack_snapshot(content)
        except SnapshotDamaged:
            continue


def coordinator_records(data: bytes) -> None:
    """Keys and values of __consumer_offsets and __transaction_state; the first byte says where the value begins."""
    if not data:
        return
    key, value = data[1 : 1 + data[0]], data[1 + data[0] :]
    for read in (decode, transactions.decode):
        try:
            read(key, value)
        except FormatError:
            continue


def _filled() -> Box:
    """A log of several segments with all kinds of files, left by an ended process."""
    box = Box()
    box.fill(30)
    box.append(build_batch([(NOW, None, b"t", ())], producer_id=5, producer_epoch=0, base_sequence=0))
    marker = EndTransactionMarker(ControlType.ABORT, 0)
    box.log.append_trusted(build_marker(marker, timestamp_ms=NOW, producer_id=6, producer_epoch=0), 0, NOW)
    box.log.roll()
    box.fill(5, first=100)
    box.disk.sync_filesystem("/")
    box.directory.close()
    return box


_LOG: Final = _filled()
_FILES: Final = sorted(
    path for path, _ in _LOG.disk.files() if not path.endswith((".lock", "meta.properties", ".kafka_cleanshutdown"))
)


def files(data: bytes) -> None:
    """A file of a data directory with anything in it; the first byte says which. The server starts, and reads on."""
    if not data:
        return
    disk = RecordingDisk(tree=_LOG.disk.tree_after(len(_LOG.disk.operations)))
    disk.damage(_FILES[data[0] % len(_FILES)], data[1:])
    # Half of them after a clean stop: then nothing is checked before it is used.
    if data[0] & 0x80:
        disk.remove(f"{PATH}/.kafka_cleanshutdown")
    try:
        box = Box(disk=disk)
        for record in read_all(box.log):
            assert record.offset >= 0
        box.log.append(build_batch([(NOW, None, b"more", ())]), 0, NOW)
        box.directory.close()
    except (StorageError, RecordError):
        return


TARGETS: Final[dict[str, Target]] = {
    target.__name__: target
    for target in (
        frames,
        messages,
        grpc_produce,
        batches,
        compressed,
        checkpoints,
        snapshots,
        coordinator_records,
        files,
    )
}


def examples() -> dict[str, list[bytes]]:
    """Returns good input of each target, to begin with."""
    row = (NOW, b"key", b"value", (("header", b"x"),))
    batch = build_batch([row], producer_id=1, producer_epoch=2, base_sequence=3)
    packed = build_batch([(NOW, None, b"v" * 200, ())] * 3, compression=Compression.LZ4)
    body = b"\x00\xff\xff\x00\x00\x75\x30\x02\x02t\x02\x00\x00\x00\x00"
    produce = struct.pack(">hhih", 0, 9, 1, 3) + b"abc\x00" + body
    found = {name: [b"", b"\x00" * 40] for name in TARGETS}
    found["frames"] += [produce, struct.pack(">hhih", 18, 3, 1, 1) + b"a\x00\x02a\x02b\x00"]
    found["messages"] += [bytes((0, 9)) + produce[12:], bytes((1, 12)) + bytes(60)]
    found["batches"] += [batch, packed, batch + packed]
    found["compressed"] += [bytes((codec,)) + compress(codec, b"value " * 50) for codec in Compression]
    found["checkpoints"] += [b"0\n1\ntopic 0 15\n", b"0\n2\n0 0\n1 7\n"]
    contents = {path: bytes(inode.data) for path, inode in _LOG.disk.files()}
    found["snapshots"] += [content for path, content in contents.items() if path.endswith(".snapshot")][:2]
    found["files"] += [bytes((number,)) + contents[path] for number, path in enumerate(_FILES)]
    return found
