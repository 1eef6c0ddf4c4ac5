"""A data directory: whose it is, who may use it, and what it remembers of its logs."""

import asyncio
import errno
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from logserver_segments.committer import ImmediateCommitter
from logserver_segments.data_directory import DataDirectory, random_id
from logserver_segments.disk import OsDisk
from logserver_segments.errors import DirectoryInUse, ForeignDirectory, LogOffline

from .conftest import Lines
from .fake_disk import FakeDisk
from .support import (
    NOW,
    PATH,
    SMALL,
    TOPIC_ID,
    Box,
    DelayingCommitter,
    FakeClock,
    Fate,
    HeldWorkers,
    InlineWorkers,
    batch,
    read_all,
    run,
    values,
)

OTHER_ID = "BBBBBBBBBBBBBBBBBBBBBB"


def _directory(disk: FakeDisk | OsDisk, path: str = PATH, node_id: int = 1) -> DataDirectory:
    directory = DataDirectory(
        path, node_id, disk=disk, clock=FakeClock(), random=random.Random(5), workers=InlineWorkers()
    )
    directory.start(ImmediateCommitter(disk))
    return directory


# Whose it is


def test_a_new_directory_says_whose_it_is() -> None:
    disk = FakeDisk()
    meta = _directory(disk).meta
    lines = disk.read_file(f"{PATH}/meta.properties").decode().splitlines()
    assert lines == [
        "logserver.format=1",
        "version=1",
        f"cluster.id={meta.cluster_id}",
        "node.id=1",
        f"directory.id={meta.directory_id}",
    ]
    assert len(meta.cluster_id) == len(meta.directory_id) == 22
    disk.kill()
    assert _directory(disk).meta == meta


def test_a_new_directory_survives_a_power_cut_with_all_above_it() -> None:
    for seed in range(20):
        disk = FakeDisk()
        _directory(disk)
        before = disk.read_file(f"{PATH}/meta.properties")
        disk.crash(random.Random(seed))
        assert disk.read_file(f"{PATH}/meta.properties") == before


def test_a_directory_that_was_half_made_is_made_again() -> None:
    for operations in range(12):
        disk = FakeDisk()
        disk.operations_left = operations
        try:
            _directory(disk)
        except BaseException as cut:
            assert type(cut).__name__ == "PowerCut"
        disk.crash(random.Random(operations))
        assert len(_directory(disk).meta.cluster_id) == 22


def test_ids_are_random_and_never_begin_with_a_dash() -> None:
    class Dashes(random.Random):
        def randbytes(self, n: int) -> bytes:
            self.count = getattr(self, "count", 0) + 1
            return b"\xfb" * n if self.count < 3 else bytes(n)

    assert random_id(Dashes()) == "A" * 22
    assert len({random_id(random.Random(seed)) for seed in range(100)}) == 100


def test_kafkas_own_directory_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "meta.properties").write_text("version=1\ncluster.id=x\nnode.id=1\ndirectory.id=y\n")
    (tmp_path / "topic-0").mkdir()
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    with pytest.raises(ForeignDirectory, match="Apache Kafka broker"):
        _directory(OsDisk(), str(tmp_path))
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before


def test_a_strangers_directory_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(ForeignDirectory, match=r"not empty and has no meta\.properties.*'photos'"):
        _directory(OsDisk(), str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_an_empty_directory_and_a_fresh_mount_will_do(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    _directory(OsDisk(), str(tmp_path)).abandon()
    assert (tmp_path / "meta.properties").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("logserver.format=2\nnode.id=1\n", "has format 2 .* knows format 1"),
        ("logserver.format=1\nnode.id=7\ncluster.id=a\ndirectory.id=b\n", r"belongs to node\.id=7.*set node\.id=7"),
        ("logserver.format=1\nnode.id=x\ncluster.id=a\ndirectory.id=b\n", "damaged"),
        ("logserver.format=1\nnode.id=1\n", "damaged"),
    ],
)
def test_a_directory_that_does_not_fit_is_refused(content: str, message: str) -> None:
    disk = FakeDisk()
    disk.make_directory(PATH)
    disk.write_file(f"{PATH}/meta.properties", content.encode(), durable=True)
    with pytest.raises(ForeignDirectory, match=message):
        _directory(disk)
    assert disk.read_file(f"{PATH}/meta.properties") == content.encode()
    assert not disk.locks


def test_properties_may_have_comments_and_spaces() -> None:
    disk = FakeDisk()
    disk.make_directory(PATH)
    content = b"# made by hand\nlogserver.format = 1\n\nnode.id= 1\ncluster.id=a=b\ndirectory.id=c\n"
    disk.write_file(f"{PATH}/meta.properties", content, durable=True)
    assert _directory(disk).meta == ("a=b", 1, "c")


def test_a_second_server_is_refused_until_the_first_has_gone() -> None:
    disk = FakeDisk()
    first = _directory(disk)
    with pytest.raises(DirectoryInUse, match=f"the data directory {PATH} is in use"):
        _directory(disk)
    first.abandon()
    _directory(disk)


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    first = _directory(OsDisk(), str(tmp_path))
    code = (
        "import random, sys\n"
        "from logserver_segments.data_directory import DataDirectory\n"
        "from logserver_segments.disk import OsDisk\n"
        "from logserver_segments.errors import DirectoryInUse\n"
        "from logserver_segments.machine import SystemClock, SystemRandom, ThreadWorkers\n"
        "try:\n"
        "    DataDirectory(sys.argv[1], 1, disk=OsDisk(), clock=SystemClock(), random=SystemRandom(),\n"
        "                  workers=ThreadWorkers(1))\n"
        "except DirectoryInUse:\n"
        "    print('in use')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "in use\n"
    first.abandon()


# Logs


def test_a_log_has_kafkas_files() -> None:
    box = Box()
    box.fill(15)
    assert box.names == [
        f"{0:020d}.index",
        f"{0:020d}.log",
        f"{0:020d}.timeindex",
        f"{10:020d}.log",
        f"{10:020d}.snapshot",
        "leader-epoch-checkpoint",
        "partition.metadata",
    ]
    directory = f"{PATH}/topic-0"
    assert box.disk.read_file(f"{directory}/partition.metadata") == f"version: 0\ntopic_id: {TOPIC_ID}".encode()
    box.log.delete_records_before(3)
    box.directory.close()
    assert box.disk.read_file(f"{PATH}/.kafka_cleanshutdown") == b'{"version": "0", "broker_epoch": "-1"}'
    assert box.disk.read_file(f"{PATH}/recovery-point-offset-checkpoint") == b"0\n1\ntopic 0 15\n"
    assert box.disk.read_file(f"{PATH}/log-start-offset-checkpoint") == b"0\n1\ntopic 0 3\n"
    box.open()
    assert not box.disk.exists(f"{PATH}/.kafka_cleanshutdown")


def test_a_log_of_another_topic_of_the_same_name_is_refused() -> None:
    box = Box()
    box.fill(3)
    box.directory.close()
    directory = box.open_directory()
    with pytest.raises(ForeignDirectory, match=f"belongs to the topic id {TOPIC_ID}, not {OTHER_ID}"):
        directory.open("topic", 0, OTHER_ID, SMALL)
    box.open_log()
    directory.opened_all()
    assert len(read_all(box.log)) == 3


def test_after_a_power_cut_a_log_of_a_deleted_topic_makes_way_for_that_of_its_name() -> None:
    box = Box()
    box.fill(3)
    # As a cut leaves it behind the deletion, whose rename is not flushed, and the making of the next one.
    box.disk.crash(Fate(names=False, content=True))
    directory = box.open_directory()
    log = directory.open("topic", 0, OTHER_ID, SMALL)
    directory.opened_all()
    assert log.log_end_offset == 0
    (stray,) = (entry.name for entry in box.disk.list(PATH) if entry.name.endswith("-stray"))
    assert TOPIC_ID.encode() in box.disk.read_file(f"{PATH}/{stray}/partition.metadata")
    assert box.disk.inode(f"{PATH}/{stray}/{0:020d}.log").data


@pytest.mark.parametrize(
    "left",
    [None, b"", b"version: 0\n", b"version: 0\ntopic_id: AAAA", bytes(11) + f"\ntopic_id: {TOPIC_ID}".encode()],
)
def test_a_log_whose_metadata_file_a_power_cut_took_is_still_ours(left: bytes | None) -> None:
    box = Box()
    box.fill(3)
    path = f"{PATH}/topic-0/partition.metadata"
    box.disk.kill()
    if left is None:
        box.disk.remove(path)
    else:
        box.disk.damage(path, left)
    box.open()
    assert len(read_all(box.log)) == 3
    assert box.disk.read_file(path) == f"version: 0\ntopic_id: {TOPIC_ID}".encode()


def test_a_deleted_log_makes_room_for_one_of_its_name_at_once() -> None:
    box = Box()
    box.fill(40)
    run(box.directory.checkpoint())
    removal = box.directory.delete("topic", 0)
    with pytest.raises(LogOffline, match="its topic was deleted"):
        box.append(batch(b"x"))
    log = box.directory.open("topic", 0, OTHER_ID, SMALL)
    log.append(batch(b"new"), 0, NOW)
    run(removal)
    assert not [entry.name for entry in box.disk.list(PATH) if entry.name.endswith("-delete")]
    assert values(read_all(log)) == [b"new"]


def test_a_deleted_topic_leaves_nothing_that_is_taken_for_the_next_of_its_name() -> None:
    for seed in range(20):
        box = Box()
        box.fill(40)
        box.log.delete_records_before(25)
        run(box.directory.checkpoint())
        run(box.directory.delete("topic", 0))
        log = box.directory.open("topic", 0, OTHER_ID, SMALL)
        for number in range(30):
            log.append(batch(b"new %d" % number), 0, NOW)
        box.disk.crash(random.Random(seed))
        # A batch that was not synced and is bad: below the old recovery point, which is not this log's.
        path = f"{PATH}/topic-0/{0:020d}.log"
        content = bytearray(box.disk.inode(path).data)
        content[70] ^= 1
        box.disk.damage(path, bytes(content))
        directory = box.open_directory()
        log = directory.open("topic", 0, OTHER_ID, SMALL)
        assert (log.log_start_offset, log.log_end_offset) == (0, 0)


async def test_a_checkpoint_under_way_says_nothing_about_a_log_made_anew_meanwhile() -> None:
    workers = HeldWorkers()
    workers.hold = False
    box = Box(workers=workers)
    box.fill(40)
    workers.hold = True
    checkpoint = asyncio.ensure_future(box.directory.checkpoint())
    await workers.reached()
    removal = box.directory.delete("topic", 0)
    log = box.directory.open("topic", 0, OTHER_ID, SMALL)
    log.append(batch(b"new"), 0, NOW)
    workers.hold = False
    workers.release()
    await checkpoint
    await removal
    assert box.disk.read_file(f"{PATH}/recovery-point-offset-checkpoint") == b"0\n0\n"
    await box.directory.checkpoint()
    assert box.disk.read_file(f"{PATH}/recovery-point-offset-checkpoint") == b"0\n1\ntopic 0 1\n"


def test_a_log_made_anew_while_a_checkpoint_is_flushed_gets_no_recovery_point_from_it() -> None:
    box = Box()
    box.fill(40)

    def meanwhile() -> None:
        box.disk.before_sync = lambda: None  # type: ignore[method-assign]
        run(box.directory.delete("topic", 0))
        box.directory.open("topic", 0, OTHER_ID, SMALL).append(batch(b"new"), 0, NOW)

    box.disk.before_sync = meanwhile  # type: ignore[method-assign]
    run(box.directory.checkpoint())
    assert box.disk.read_file(f"{PATH}/recovery-point-offset-checkpoint") == b"0\n0\n"


async def test_a_checkpoint_under_way_promises_nothing_that_is_truncated_meanwhile() -> None:
    workers = HeldWorkers()
    workers.hold = False
    box = Box(workers=workers)
    box.fill(40)
    workers.hold = True
    checkpoint = asyncio.ensure_future(box.directory.checkpoint())
    await workers.reached()
    box.log.truncate(25)
    box.fill(30, first=25)
    workers.hold = False
    workers.release()
    await checkpoint
    assert box.disk.read_file(f"{PATH}/recovery-point-offset-checkpoint") == b"0\n1\ntopic 0 25\n"


def test_a_topic_with_the_longest_name_can_be_deleted(tmp_path: Path) -> None:
    directory = _directory(OsDisk(), str(tmp_path))
    name = "x" * 249
    directory.open(name, 1234, TOPIC_ID, SMALL).append(batch(b"x"), 0, NOW)
    run(directory.delete(name, 1234))
    assert not list(tmp_path.glob("x*"))
    directory.abandon()


def test_what_a_deletion_left_goes_at_the_next_start() -> None:
    box = Box()
    box.fill(3)
    box.directory.delete("topic", 0).close()  # type: ignore[attr-defined]
    assert [entry.name for entry in box.disk.list(PATH) if entry.name.endswith("-delete")]
    box.disk.kill()
    _directory(box.disk)
    assert not [entry.name for entry in box.disk.list(PATH) if entry.name.endswith("-delete")]


def test_directories_that_no_topic_knows_go(lines: Lines) -> None:
    box = Box()
    box.fill(3)
    for topic in ("gone", "kept-1"):
        box.directory.open(topic, 2, OTHER_ID, SMALL).append(batch(b"x"), 0, NOW)
    box.disk.make_directory(f"{PATH}/notes-7")
    box.disk.kill()
    directory = box.open_directory()
    for removal in directory.remove_strays(lambda topic, number: (topic, number) in (("topic", 0), ("kept-1", 2))):
        run(removal)
    names = {entry.name for entry in box.disk.list(PATH) if entry.is_directory}
    assert names == {"topic-0", "kept-1-2", "notes-7"}
    assert [line["path"] for line in lines.of("directory of a deleted topic removed")] == [f"{PATH}/gone-2"]


def test_logs_that_no_topic_knows_make_room_and_are_kept(lines: Lines) -> None:
    box = Box()
    box.fill(3)
    box.directory.open("gone", 2, OTHER_ID, SMALL).append(batch(b"x"), 0, NOW)
    # Neither is a log: one has no partition.metadata, the other is not called like one.
    box.disk.make_directory(f"{PATH}/notes-7")
    box.disk.make_directory(f"{PATH}/gone-002")
    box.disk.write_file(f"{PATH}/gone-002/partition.metadata", b"version: 0\ntopic_id: x", durable=False)
    run(box.directory.checkpoint())
    box.disk.kill()
    directory = box.open_directory()
    (aside,) = directory.set_strays_aside(lambda topic, number: (topic, number) == ("topic", 0))
    assert aside.startswith(f"{PATH}/gone-2.") and aside.endswith("-stray")
    (line,) = lines.of("a log of no known topic was set aside; remove the directory if its topic was deleted")
    assert line["log"] == "gone-2" and line["path"] == aside
    names = {entry.name for entry in box.disk.list(PATH) if entry.is_directory}
    assert names == {"topic-0", "notes-7", "gone-002", aside.removeprefix(f"{PATH}/")}
    assert box.disk.list(aside)
    # Nothing that was known of it is taken for what comes under its name.
    assert directory.open("gone", 2, TOPIC_ID, SMALL).log_end_offset == 0


# Stops and starts


def test_a_log_may_be_closed_and_opened_again_and_again() -> None:
    box = Box()
    for number in range(100):
        box.append(batch(b"%d" % number))
        box.directory.close_log("topic", 0)
        box.open_log()
        assert box.log.log_end_offset == number + 1
    assert values(read_all(box.log)) == [b"%d" % number for number in range(100)]
    box.reopen()
    assert box.directory.was_clean
    assert len(read_all(box.log)) == 100


def test_a_closed_log_is_told_nothing_of_what_it_had_handed_over() -> None:
    box = Box(committer=DelayingCommitter)
    box.append(batch(b"x"))
    box.committer.begin_round(0.0)
    box.append(batch(b"y"))
    listener, old = box.listener, box.log
    box.directory.close_log("topic", 0)
    box.committer.finish(0.0)
    assert listener.committed == [] and old.committed_offset == 0
    # What was written counts when it is opened again.
    assert box.open_log().committed_offset == 2


def test_a_log_whose_closing_wrote_nothing_opens_with_all_it_had() -> None:
    box = Box()
    box.fill(5)
    # The last stop was a clean one, and that counts for each log once.
    box.reopen()
    box.fill(5)
    fault = box.disk.fail("write_file", "*topic-0*", errno.ENOSPC, times=None)
    box.directory.close_log("topic", 0)
    box.disk.faults.remove(fault)
    assert box.open_log().log_end_offset == 10
    assert len(read_all(box.log)) == 10


def test_what_a_closed_log_had_not_flushed_is_durable_once_it_is_open_again() -> None:
    box = Box(committer=DelayingCommitter)
    run(box.directory.checkpoint())
    box.append(batch(b"x"))
    box.directory.close_log("topic", 0)
    assert box.open_log().committed_offset == 1
    box.crash(fate=Fate(names=False, content=False))
    assert values(read_all(box.log)) == [b"x"]


def test_opening_again_reads_only_what_came_since() -> None:
    box = Box()
    box.fill(300)
    box.directory.close_log("topic", 0)
    box.disk.reads.clear()
    box.open_log()
    assert sum(size for path, _, size in box.disk.reads if path.endswith(".log")) < 5000


def test_a_stop_with_a_log_that_is_not_open_is_no_clean_one() -> None:
    box = Box()
    box.fill(3)
    box.directory.close_log("topic", 0)
    box.reopen()
    assert not box.directory.was_clean
    assert len(read_all(box.log)) == 3


def test_a_log_that_can_not_be_opened_keeps_what_is_known_of_it() -> None:
    box = Box()
    box.fill(30)
    box.log.delete_records_before(12)
    box.directory.close()
    directory = box.open_directory()
    fault = box.disk.fail("list", f"{PATH}/topic-0")
    with pytest.raises(OSError, match="Input/output"):
        directory.open("topic", 0, TOPIC_ID, SMALL)
    box.disk.faults.remove(fault)
    run(directory.checkpoint())
    run(directory.persist_start_offsets())
    directory.opened_all()
    directory.close()
    box.open()
    assert not box.directory.was_clean
    assert (box.log.log_start_offset, box.log.log_end_offset) == (12, 30)


def test_a_stop_before_all_is_opened_after_an_unclean_end_is_no_clean_one() -> None:
    box = Box()
    box.fill(3)
    box.disk.kill()
    box.open_directory().close()
    box.open()
    assert not box.directory.was_clean


def test_what_is_not_flushed_makes_no_clean_stop(lines: Lines) -> None:
    box = Box(committer=DelayingCommitter)
    box.fill(3)
    box.reopen()
    assert not box.directory.was_clean
    assert lines.of("no clean stop: not all is flushed")
    assert len(read_all(box.log)) == 3


def test_a_disk_that_fails_to_flush_at_the_end_makes_no_clean_stop_and_frees_the_lock() -> None:
    box = Box()
    box.fill(3)
    box.disk.fail("sync_filesystem")
    with pytest.raises(OSError, match="Input/output"):
        box.directory.close()
    box.open()
    assert not box.directory.was_clean
    assert len(read_all(box.log)) == 3


def test_idle_checkpoints_write_nothing() -> None:
    box = Box()
    box.fill(3)
    run(box.directory.checkpoint())
    syncs = box.disk.filesystem_syncs
    box.disk.fail("write_file", times=None)
    for _ in range(3):
        run(box.directory.checkpoint())
    assert box.disk.filesystem_syncs == syncs


def test_old_snapshots_go_with_a_checkpoint() -> None:
    box = Box()
    for number in range(20):
        box.append(batch(b"x", producer=(1, 0, number)))
        run(box.directory.checkpoint())
    snapshots = [name for name in box.names if name.endswith(".snapshot")]
    assert snapshots == [f"{offset:020d}.snapshot" for offset in sorted({14, 20})]


# One log's trouble


def test_one_logs_trouble_is_not_anothers(lines: Lines) -> None:
    box = Box()
    other = box.directory.open("other", 0, OTHER_ID, SMALL)
    for log in (box.log, other):
        for number in range(40):
            log.append(batch(b"x" * 30, timestamp=NOW + number), 0, NOW)
    box.clock.advance(10**12)
    box.disk.fail("rename", "*topic-0*", times=None)
    run(box.directory.apply_retention())
    assert other.log_start_offset == 40
    assert [line["log"] for line in lines.of("retention failed")] == ["topic-0"]
    box.disk.faults.clear()
    box.disk.fail("remove", "*topic-0*", times=None)
    run(box.directory.apply_retention())
    run(box.directory.remove_doomed())
    assert not [name for name in (entry.name for entry in box.disk.list(f"{PATH}/other-0")) if "deleted" in name]
    box.disk.faults.clear()
    box.disk.fail("write_file", "*topic-0*", errno.ENOSPC, times=None)
    box.append(batch(b"x"))
    other.append(batch(b"x"), 0, NOW)
    run(box.directory.checkpoint())
    assert b"other 0 41" in box.disk.read_file(f"{PATH}/recovery-point-offset-checkpoint")


def test_flush_ms_is_kept_by_the_tick() -> None:
    box = Box(replace(SMALL, flush_messages=1000, flush_ms=500))
    box.fill(3)
    synced = len(box.disk.syncs)
    for ms, flushed in ((0, False), (499, False), (1, True), (5000, True)):
        box.clock.advance(ms)
        box.directory.tick()
        assert (len(box.disk.syncs) > synced) is flushed
    assert len(box.disk.syncs) == synced + 1


@pytest.mark.parametrize("by", ["time", "count"])
def test_flush_ms_begins_anew_after_each_flush(by: str) -> None:
    box = Box(replace(SMALL, flush_messages=5, flush_ms=500))
    box.fill(2)
    box.directory.tick()
    if by == "time":
        box.clock.advance(500)
        box.directory.tick()
    else:
        box.clock.advance(400)
        box.fill(3)
    synced = len(box.disk.syncs)
    assert synced
    box.fill(1)
    for ms, flushed in ((0, False), (499, False), (1, True)):
        box.clock.advance(ms)
        box.directory.tick()
        assert (len(box.disk.syncs) > synced) is flushed


def test_flush_messages_counts_records() -> None:
    box = Box(replace(SMALL, flush_messages=5))
    synced = []
    for _ in range(12):
        box.append(batch(b"x", b"y"))
        assert box.log.committed_offset == box.log.log_end_offset
        synced.append(len(box.disk.syncs))
    assert synced == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4]


def test_sizes_and_space_are_told() -> None:
    box = Box(disk=FakeDisk(capacity=100_000))
    box.fill(10)
    (state,) = box.directory.states()
    assert state.size_bytes == box.log.size_bytes > 0 and state.error is None
    assert 0 < state.free_bytes < state.total_bytes == 100_000
    assert [key for key, _ in box.directory] == [("topic", 0)] and len(box.directory) == 1
