"""Files of a data directory: each alone, and all together as a server starts on them."""

import contextlib
import struct
from collections.abc import Callable, Iterator

from crc32c import crc32c
from logserver_records.codec import build_batch
from logserver_records.control import ControlType, EndTransactionMarker, build_marker
from logserver_records.errors import RecordError
from logserver_segments.checkpoints import CheckpointDamaged, LeaderEpochs, parse_offsets
from logserver_segments.data_directory.meta import parse_properties
from logserver_segments.errors import StorageError
from logserver_segments.index import Index, IndexDamaged
from logserver_segments.pool import Pool
from logserver_segments.producer_snapshot import SnapshotDamaged, unpack_snapshot
from logserver_segments.transaction_index import TransactionIndex
from logserver_segments.verification.conclude import conclude
from logserver_segments.verification.directory import About, examine
from logserver_segments.verification.task import check

from logserver.simulation.disk import RecordingDisk
from tests.fuzz.targets.target import Target
from tests.segments.support import NOW, PATH, SMALL, TOPIC_ID, Box, read_all, run
from tests.segments.transactional import ABORT, COMMIT, TransactionalProducer

_NO_CONTENT = (".lock", "meta.properties", ".kafka_cleanshutdown")


def checkpoints(data: bytes) -> None:
    """Recovery points, log start offsets, leader epochs; what says whose directory it is."""
    for read in (parse_offsets, LeaderEpochs().load, parse_properties):
        with contextlib.suppress(CheckpointDamaged, StorageError):
            read(data)


def snapshots(data: bytes) -> None:
    """Snapshots of producers, with the checksum made right."""
    for content in (data, data[:2] + struct.pack(">I", crc32c(data[6:])) + data[6:]):
        try:
            unpack_snapshot(content)
        except SnapshotDamaged:
            continue


def _on_disk(data: bytes) -> RecordingDisk:
    disk = RecordingDisk()
    disk.make_directory("/d")
    disk.write_file("/d/file", data, durable=True)
    return disk


def indexes(data: bytes) -> None:
    """An offset index and a time index; what they say is what one finds in them."""
    for kind in ("offset", "time"):
        disk = _on_disk(data)
        index = Index(kind, "/d/file", disk, Pool(10), len(data) // Index.entry_size(kind))
        with contextlib.suppress(IndexDamaged):
            index.check(key_range=range(1 << 31), value_range=range(1 << 31))
        for wanted in (-1, 0, 3, 1 << 20, (1 << 63) - 1):
            with contextlib.suppress(IndexDamaged):
                found = index.floor(wanted, wait=True)
                assert found is None or found[0] <= wanted
                found = index.floor_by_value(wanted, wait=True)
                assert found is None or found[1] <= wanted
        index.truncate(len(index.entries()) // 2)


def transaction_indexes(data: bytes) -> None:
    """A transaction index: what is found in it lies in its segment, in order."""
    index = TransactionIndex(10, "/d/file", _on_disk(data), Pool(10), len(data))
    for start, end in ((10, 1 << 40), (0, 15), (12, 13)):
        with contextlib.suppress(IndexDamaged):
            found, _ = index.overlapping(start, end, 1 << 40, wait=True)
            assert found == sorted(found, key=lambda transaction: transaction.last_offset)
    with contextlib.suppress(IndexDamaged):
        assert all(transaction.last_offset >= 10 for transaction in index.entries())
    with contextlib.suppress(IndexDamaged):
        index.truncate(14)


def _filled() -> Box:
    """A log of several segments with all kinds of files, left by an ended process."""
    box = Box()
    box.fill(30)
    box.append(build_batch([(NOW, None, b"t", ())], producer_id=5, producer_epoch=0, base_sequence=0))
    marker = EndTransactionMarker(ControlType.ABORT, 0)
    box.log.append_trusted(build_marker(marker, timestamp_ms=NOW, producer_id=6, producer_epoch=0), 0, NOW)
    box.log.roll()
    box.fill(5, first=100)
    return _left(box)


def _with_transactions() -> Box:
    """The same of transactions: ended both ways, and one that is open."""
    box = Box()
    producers = [TransactionalProducer(box.log, number) for number in range(3)]
    for turn in range(8):
        for producer in producers:
            producer.send(b"record %d" % turn, now=NOW + turn)
        for producer in producers[turn % 2 : 2]:
            producer.end(ABORT if turn % 4 < 2 else COMMIT, now=NOW + turn)
    return _left(box)


def _left(box: Box) -> Box:
    box.disk.sync_filesystem("/")
    box.directory.close()
    return box


class _Directory:
    """A data directory, whose files are replaced."""

    def __init__(self, filled: Callable[[], Box]) -> None:
        disk = filled().disk
        # Without the operations that have led there.
        self._disk = RecordingDisk(tree=disk.tree_after(len(disk.operations)))
        self._paths = sorted(path for path, _ in self._disk.files() if not path.endswith(_NO_CONTENT))

    def damaged(self, data: bytes) -> RecordingDisk:
        """Returns a disk with one file that is an input: the first byte says which. Half of them are of a clean stop:
        then nothing is checked before it is used."""
        disk = RecordingDisk(tree=self._disk.tree_after(0))
        disk.damage(self._paths[data[0] % len(self._paths)], data[1:])
        if data[0] & 0x80:
            disk.remove(f"{PATH}/.kafka_cleanshutdown")
        return disk

    def examples(self) -> list[bytes]:
        """Returns the files as they are."""
        contents = {path: bytes(inode.data) for path, inode in self._disk.files()}
        numbered = list(enumerate(self._paths))
        return [
            bytes((number + add,)) + contents[path]
            for number, path in numbered
            # The first number from 128 on that means the same file.
            for add in (0, -(-(0x80 - number) // len(numbered)) * len(numbered))
        ]

    def contents(self, suffix: str) -> list[bytes]:
        """Returns what files of a kind have in them."""
        return [bytes(inode.data) for path, inode in self._disk.files() if path.endswith(suffix)]


PLAIN = _Directory(_filled)
TRANSACTIONS = _Directory(_with_transactions)


def _serve(disk: RecordingDisk) -> None:
    """A server starts on a directory, reads all of it in each way, writes, stops, and starts again."""
    with contextlib.suppress(StorageError):
        box = Box(disk=disk)
        log = box.log
        log.check_invariant()
        for committed_only in (False, True):
            with contextlib.suppress(StorageError, RecordError):
                _read(box, committed_only)
        for look in (log.offset_of_max_timestamp, lambda: log.offset_for_timestamp(NOW + 3)):
            with contextlib.suppress(StorageError):
                found = run(look())
                assert found is None or log.log_start_offset <= found.offset < log.committed_offset
        with contextlib.suppress(StorageError):
            log.append(build_batch([(NOW, None, b"more", ())]), 0, NOW)
            log.check_invariant()
        end = log.log_end_offset
        box.reopen().check_invariant()
        assert box.log.log_end_offset == end
        box.directory.close()


def _read(box: Box, committed_only: bool) -> None:
    log = box.log
    if not committed_only:
        for record in read_all(log):
            assert record.offset >= 0
        return
    offset = log.log_start_offset
    while offset < log.last_stable_offset:
        part = log.read(offset, 300, True)
        found = part if isinstance(part, tuple) else run(part)
        assert offset < found.next_offset <= log.last_stable_offset
        aborted = log.aborted_transactions(offset, found.next_offset)
        assert isinstance(aborted if isinstance(aborted, list) else run(aborted), list)
        offset = found.next_offset


def files(data: bytes) -> None:
    """A file of a data directory with anything in it."""
    if data:
        _serve(PLAIN.damaged(data))


def transactional_files(data: bytes) -> None:
    """The same of a log with transactions."""
    if data:
        _serve(TRANSACTIONS.damaged(data))


def verified_files(data: bytes) -> None:
    """What the check of a data directory says of a file with anything in it."""
    if not data:
        return
    disk = TRANSACTIONS.damaged(data)
    examined = examine(PATH, lambda key: About(TOPIC_ID, SMALL.compact), disk)
    conclude(examined, [check(task, disk) for task in examined.tasks], disk)


def _checkpoints() -> Iterator[bytes]:
    yield from (b"0\n1\ntopic 0 15\n", b"0\n2\n0 0\n1 7\n", b"#Sat\nversion=1\nnode.id=1\ncluster.id=a-b\n")


TARGETS = (
    Target(checkpoints, _checkpoints),
    Target(snapshots, lambda: [*PLAIN.contents(".snapshot"), *TRANSACTIONS.contents(".snapshot")]),
    Target(indexes, lambda: [*PLAIN.contents(".index"), *PLAIN.contents(".timeindex")]),
    Target(transaction_indexes, lambda: TRANSACTIONS.contents(".txnindex")),
    Target(files, PLAIN.examples),
    Target(transactional_files, TRANSACTIONS.examples),
    Target(verified_files, TRANSACTIONS.examples),
)
