"""What commands read while no server runs: files that are dumped, records that are checked, the metadata of Kafka."""

import json
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from logserver_records.codec import Record, build_batch

from logserver.broker.topics import TopicRecord
from logserver.cli.internal_logs import RECORD_CHECKS, directories_of, topics_of
from logserver.cli.kafka_metadata import CLUSTER_METADATA, MetadataUnreadable, read_cluster
from logserver.cli.stored_files import documents, text_of
from logserver.simulation.disk import RecordingDisk
from tests.fuzz.targets.files import TRANSACTIONS
from tests.fuzz.targets.target import NOW_MS, Target, joined, parts

_KINDS = (
    "topic-0/00000000000000000000.log",
    "topic-0/00000000000000000010.index",
    "topic-0/00000000000000000010.timeindex",
    "topic-0/00000000000000000010.txnindex",
    "topic-0/00000000000000000010.snapshot",
    "topic-0/leader-epoch-checkpoint",
    "topic-0/partition.metadata",
    "recovery-point-offset-checkpoint",
    "meta.properties",
    *(f"{topic}-0/00000000000000000000.log" for topic in RECORD_CHECKS),
)
_MEMORY = Path("/dev/shm")
_SPACE = tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)


def dumped_files(data: bytes) -> None:
    """A file as `logserver dump` prints it; the first byte says which kind."""
    if not data:
        return
    path = Path(_SPACE.name, _KINDS[data[0] % len(_KINDS)])
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data[1:])
    for document in documents(path, with_records=True):
        json.dumps(document)
        text_of(document)


def _dumped_files() -> Iterator[bytes]:
    for number, name in enumerate(_KINDS):
        for content in TRANSACTIONS.contents(f".{name.rpartition('.')[2]}")[:1] or [b"0\n1\n0 0\n"]:
            yield bytes((number,)) + content


def checked_records(data: bytes) -> None:
    """A key and a value of each internal topic, as `logserver verify` looks at them."""
    key, value, *_ = *parts(data), b"", b""
    for check in RECORD_CHECKS.values():
        for record in (Record(0, NOW_MS, key, value, ()), Record(0, NOW_MS, key, None, (("created", value[:9]),))):
            check(0, 50, record)
    image = {key: value}
    topics_of(image)
    directories_of(image)


def _checked_records() -> Iterator[bytes]:
    topic = TopicRecord("orders", "AAAAAAAAAAAAAAAAAAAAAQ", 3, {"retention.ms": "1000"})
    yield joined(topic.key, topic.to_value())
    yield joined(b"/configs/group/g", b'{"settings":{"a":"b"}}')
    yield joined(b"/nodes/1/directories", b'{"a":"/srv"}')
    yield joined(b"/nodes/1", b"7")
    yield joined(bytes.fromhex("0001000167d70830dadc104ae4b2da0804a91a3b7500000000"), bytes(30))


def kafka_metadata(data: bytes) -> None:
    """The metadata of a Kafka that is taken over: a log of these records."""
    disk = RecordingDisk()
    directory = f"/{CLUSTER_METADATA}"
    disk.make_directory(directory)
    batches = [
        struct.pack(">q", offset) + build_batch([(NOW_MS, None, value, ())])[8:]
        for offset, value in enumerate(parts(data))
    ]
    disk.write_file(f"{directory}/{0:020}.log", b"".join(batches), durable=True)
    try:
        read_cluster(directory, disk)
    except MetadataUnreadable:
        return


def _kafka_metadata() -> Iterator[bytes]:
    topic_id = bytes(range(16))
    topic = b"\x01\x02\x00" + b"\x07orders" + topic_id + b"\x00"
    partition = b"\x01\x03\x02" + struct.pack(">i", 3) + topic_id + bytes(20)
    config = b"\x01\x04\x00" + b"\x02" + b"\x07orders" + b"\x0dretention.ms" + b"\x021" + b"\x00"
    removal = b"\x01\x09\x00" + topic_id + b"\x00"
    producers = b"\x01\x0f\x00" + struct.pack(">iqq", 1, 2, 3_000) + b"\x00"
    begin, end = b"\x01\x17\x00" + b"\x01\x00\x00", b"\x01\x18\x00" + b"\x00"
    yield joined(topic, partition, config, producers)
    yield joined(begin, topic, partition, end, removal)


TARGETS = (
    Target(dumped_files, _dumped_files),
    Target(checked_records, _checked_records),
    Target(kafka_metadata, _kafka_metadata),
)
