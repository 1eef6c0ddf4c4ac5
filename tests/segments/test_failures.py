"""A disk that fails to flush, to write, or has no space left."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from logserver_segments.committer import FLUSH_FAILED
from logserver_segments.config import LogConfig
from logserver_segments.disk import OsDisk
from logserver_segments.errors import DiskFull, LogOffline, StorageError, WriteFailed

from .conftest import Lines
from .fake_disk import Write
from .support import NOW, PATH, SMALL, Box, DelayingCommitter, Fate, batch, read, read_all, run, values

# Failed flushes


def _lost(**options: object) -> Box:
    """A log with three durable records, and two that a failed flush lost."""
    box = Box(committer=DelayingCommitter, **options)  # type: ignore[arg-type]
    box.fill(3)
    box.committer.finish(0)
    box.fill(2, first=3)
    box.disk.fail("sync", "*.log")
    box.committer.finish(0)
    return box


def test_a_log_whose_flush_failed_is_offline_and_says_why(lines: Lines) -> None:
    box = _lost()
    assert "Input/output error" in (box.log.offline or "")
    assert (box.listener.committed, len(box.listener.losses)) == ([3], 1)
    for use in (
        lambda: box.log.append(batch(b"x"), 0, NOW),
        lambda: box.log.append_trusted(batch(b"x"), 0, NOW),
        lambda: box.log.read(0, 100),
        lambda: box.log.delete_records_before(1),
        lambda: run(box.log.offset_for_timestamp(0)),
        lambda: run(box.log.offset_of_max_timestamp()),
    ):
        with pytest.raises(LogOffline, match=r"topic-0 is offline: .*Input/output error"):
            use()
    ((line),) = lines.of("log offline")
    assert (line["log"], line["kept_up_to"]) == ("topic-0", 3)


def test_a_lost_log_that_is_closed_still_says_what_took_it_offline() -> None:
    box = Box()
    box.fill(3)
    box.disk.fail("sync", "*.log", errno.EIO, times=None)
    with pytest.raises(LogOffline):
        box.append(batch(b"lost"))
    reason = box.log.offline
    assert reason is not None and "failed to flush" in reason
    assert box.disk.open_files == len(box.directory.resources.files) == 0
    box.log.close()
    assert box.log.offline == reason
    with pytest.raises(LogOffline, match="failed to flush"):
        box.log.read(0, 1)


def test_what_was_lost_is_cut_off_and_never_counts_again() -> None:
    box = _lost()
    assert (box.log.committed_offset, box.log.log_end_offset) == (3, 3)
    box.committer.finish(0)
    run(box.directory.checkpoint())
    box.directory.tick()
    run(box.directory.apply_retention())
    assert box.listener.committed == [3] and box.log.offline is not None
    assert box.log.size_bytes == len(box.disk.inode(f"{box.log.directory}/{0:020d}.log").data)


@pytest.mark.parametrize("restart", ["lead", "kill", "crash", "stop"])
def test_a_lost_log_opens_again_at_its_last_flushed_offset(restart: str) -> None:
    box = _lost()
    if restart == "lead":
        box.directory.close_log("topic", 0)
        box.open_log()
    elif restart == "stop":
        box.directory.close()
        box.open()
        # What was lost makes it no clean stop.
        assert not box.directory.was_clean
    else:
        getattr(box, restart)()
    assert (box.log.log_end_offset, box.log.offline) == (3, None)
    box.fill(4, first=10)
    box.committer.finish(0)
    expected = [b"record %d" % number + b"." * 20 for number in (0, 1, 2, 10, 11, 12, 13)]
    assert values(read_all(box.log)) == expected
    box.crash(1)
    assert values(read_all(box.log)) == expected


@pytest.mark.parametrize("operation", ["truncate", "sync"])
def test_a_tail_that_could_not_be_cut_off_is_cut_at_the_next_opening(operation: str, lines: Lines) -> None:
    box = Box(committer=DelayingCommitter)
    box.fill(3)
    box.committer.finish(0)
    box.fill(2, first=3)
    faults = [box.disk.fail(kind, "*.log", times=None) for kind in ("sync", operation)]
    box.committer.finish(0)
    assert lines.of("the tail behind the last durable offset could not be cut off")
    for fault in faults:
        box.disk.faults.remove(fault)
    box.directory.close_log("topic", 0)
    box.open_log()
    assert (box.log.log_end_offset, len(read_all(box.log))) == (3, 3)


@pytest.mark.parametrize("seed", range(8))
def test_what_an_ended_process_could_not_flush_is_written_again_by_the_next_one(seed: int) -> None:
    box = Box(committer=DelayingCommitter)
    box.fill(3)
    box.committer.finish(0)
    box.fill(2, first=3)
    # The page cache goes on showing what the disk did not take, also to the next process, whose flushes do not fail.
    box.disk.fail("sync", "*.log", times=None)
    box.disk.fail("truncate", "*.log", times=None)
    box.committer.finish(0)
    box.disk.faults.clear()
    # By the committer of a server, which this is none of.
    box.disk.write_file(f"{PATH}/{FLUSH_FAILED}", b"", durable=False)
    box.kill()
    assert not box.disk.exists(f"{PATH}/{FLUSH_FAILED}")
    assert box.log.log_end_offset == 5
    box.fill(3, first=5)
    box.committer.finish(0)
    box.crash(seed)
    assert len(read_all(box.log)) == 8


@pytest.mark.parametrize("seed", range(8))
def test_what_was_lost_with_the_cut_of_half_a_batch_is_written_again_by_the_next_process(seed: int) -> None:
    box = Box(replace(SMALL, flush_messages=100))
    box.fill(3)
    box.disk.capacity = sum(len(inode.data) for _, inode in box.disk.files()) + 30
    # It loses what was in front of the half one, too.
    box.disk.fail("sync", "*.log")
    with pytest.raises(WriteFailed, match="could not be undone"):
        box.append(batch(b"x" * 50))
    box.disk.capacity = None
    box.kill()
    box.fill(3, first=3)
    run(box.directory.checkpoint())
    box.crash(seed)
    assert len(read_all(box.log)) == 6


def _lost_by_the_flush_of_all() -> Box:
    """Returns a log of 3 records that a failed flush of the whole file system has lost, and the note of that."""
    box = Box(replace(SMALL, flush_messages=100))
    box.fill(3)
    box.disk.fail("sync_filesystem", "*")
    with pytest.raises(OSError, match="Input/output error"):
        box.disk.sync_filesystem(PATH)
    box.disk.write_file(f"{PATH}/{FLUSH_FAILED}", b"", durable=False)
    return box


def test_a_failed_flush_that_the_ended_process_was_not_told_of_does_not_fail_the_flushes_of_the_next_one() -> None:
    box = _lost_by_the_flush_of_all()
    box.config = SMALL
    box.kill()
    assert not box.disk.exists(f"{PATH}/{FLUSH_FAILED}")
    box.fill(3, first=3)
    box.crash(1)
    assert len(read_all(box.log)) == 6


def test_what_could_not_be_written_again_on_a_full_disk_is_by_the_start_after() -> None:
    box, note = _lost_by_the_flush_of_all(), f"{PATH}/{FLUSH_FAILED}"
    box.disk.fail("write", "*.log", errno.ENOSPC)
    box.kill()
    assert box.disk.exists(note)
    box.kill()
    assert not box.disk.exists(note)
    box.crash(1)
    assert len(read_all(box.log)) == 3


def test_that_a_flush_failed_is_known_until_every_log_has_been_written_again() -> None:
    box = Box()
    box.fill(3)
    note = f"{PATH}/{FLUSH_FAILED}"
    box.disk.write_file(note, b"", durable=False)
    box.disk.kill()
    box.open_directory()
    box.disk.fail("read", "*.log")
    with pytest.raises(OSError, match="Input/output error"):
        box.open_log()
    box.directory.opened_all()
    assert box.disk.exists(note)
    box.kill()
    assert not box.disk.exists(note)
    box.disk.write_file(note, b"", durable=False)
    box.disk.kill()
    box.open_directory()
    box.open_log()
    box.disk.fail("sync", "*.log")
    with pytest.raises(LogOffline):
        box.append(batch(b"lost"))
    box.directory.opened_all()
    assert box.disk.exists(note)


def test_a_loss_over_several_segments_takes_them_all_back() -> None:
    box = Box(committer=DelayingCommitter)
    box.fill(5)
    box.committer.finish(0)
    box.fill(40, first=5)
    assert len(box.log.segments) > 3
    box.disk.fail("sync", "*.log", times=None)
    box.committer.finish(0)
    box.disk.faults.clear()
    assert box.log.log_end_offset == 5
    assert [name for name in box.names if name.endswith(".log")] == [f"{0:020d}.log"]
    box.directory.close_log("topic", 0)
    box.open_log()
    assert len(read_all(box.log)) == 5


def test_a_loss_right_behind_a_roll_keeps_what_is_sealed() -> None:
    box = Box(committer=DelayingCommitter)
    box.fill(5)
    box.log.roll()
    box.committer.finish(0)
    box.fill(2, first=5)
    box.disk.fail("sync", "*.log")
    box.committer.finish(0)
    assert box.log.log_end_offset == 5
    box.directory.close_log("topic", 0)
    box.open_log()
    assert (len(read_all(box.log)), box.log.log_end_offset) == (5, 5)


def test_one_logs_loss_is_not_anothers() -> None:
    box = _lost()
    other = box.directory.open("other", 0, "BBBBBBBBBBBBBBBBBBBBBB", SMALL)
    other.append(batch(b"x"), 0, NOW)
    box.committer.finish(0)
    assert (other.committed_offset, other.offline) == (1, None)
    run(box.directory.checkpoint())
    box.directory.close()
    box.open()
    assert box.log.log_end_offset == 3
    assert len(read_all(box.directory.open("other", 0, "BBBBBBBBBBBBBBBBBBBBBB", SMALL))) == 1


def test_a_relaxed_log_whose_checkpoint_failed_is_lost() -> None:
    box = Box(replace(SMALL, flush_messages=1000))
    box.fill(3)
    box.disk.fail("sync_filesystem")
    with pytest.raises(OSError, match="Input/output"):
        run(box.directory.checkpoint())
    assert box.log.offline is not None and len(box.listener.losses) == 1


def test_a_failed_checkpoint_promises_nothing() -> None:
    box = Box()
    box.fill(30)
    run(box.directory.checkpoint())
    box.fill(30)
    box.disk.fail("sync_filesystem")
    with pytest.raises(OSError, match="Input/output"):
        run(box.directory.checkpoint())
    assert box.log.offline is None
    assert box.disk.read_file("/srv/data/recovery-point-offset-checkpoint") == b"0\n1\ntopic 0 30\n"
    box.crash(2)
    assert len(read_all(box.log)) == 60


RELAXED = replace(SMALL, flush_messages=1000)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("when", ["checkpoint", "stop", "start", "opening again"])
def test_what_could_not_be_flushed_is_written_again_by_the_next_process(when: str, seed: int) -> None:
    box = Box(RELAXED)
    box.fill(30)
    box.disk.fail("sync_filesystem")
    with pytest.raises(OSError, match="Input/output"):
        if when == "checkpoint":
            run(box.directory.checkpoint())
        elif when == "stop":
            box.directory.close()
        elif when == "start":
            box.kill()
        else:
            box.directory.close_log("topic", 0)
            box.open_log()
    # It is there as long as the page cache is.
    box.kill()
    assert len(read_all(box.log)) == 30
    box.fill(30, first=30)
    run(box.directory.checkpoint())
    box.crash(seed)
    assert len(read_all(box.log)) == 60


def test_a_flush_that_failed_is_every_relaxed_logs_loss_that_was_written_to() -> None:
    box = Box(RELAXED)
    box.fill(3)
    older, empty = (box.directory.open(name, 0, name[:1] * 22, RELAXED) for name in ("older", "empty"))
    older.append(batch(b"x"), 0, NOW)
    run(box.directory.checkpoint())
    box.fill(3)
    box.disk.fail("sync_filesystem")
    with pytest.raises(OSError, match="Input/output"):
        run(box.directory.checkpoint())
    assert box.log.offline is not None
    assert (older.offline, empty.offline) == (None, None)
    # What was promised for the lost one does not come true with a later flush.
    older.append(batch(b"y"), 0, NOW)
    run(box.directory.checkpoint())
    assert (
        box.disk.read_file("/srv/data/recovery-point-offset-checkpoint") == b"0\n3\nempty 0 0\nolder 0 2\ntopic 0 3\n"
    )


def test_recovery_points_that_find_no_space_are_no_logs_loss() -> None:
    box = Box(RELAXED)
    box.fill(3)
    box.disk.fail("write_file", "*recovery-point*", errno.ENOSPC)
    with pytest.raises(OSError, match="No space"):
        run(box.directory.checkpoint())
    assert box.log.offline is None
    run(box.directory.checkpoint())
    assert box.disk.read_file("/srv/data/recovery-point-offset-checkpoint") == b"0\n1\ntopic 0 3\n"


# Failed writes


def test_a_disk_that_fails_to_write_takes_the_log_offline_with_nothing_stored() -> None:
    box = Box()
    box.fill(3)
    box.disk.fail("write", "*.log")
    with pytest.raises(WriteFailed, match="topic-0: the disk failed to write: Input/output error"):
        box.append(batch(b"x"))
    with pytest.raises(LogOffline):
        box.append(batch(b"x"))
    assert len(box.listener.losses) == 1
    box.directory.close_log("topic", 0)
    box.open_log()
    assert len(read_all(box.log)) == 3


def test_what_waits_for_its_flush_when_a_write_fails_never_counts_as_durable() -> None:
    box = Box(committer=DelayingCommitter)
    box.append(batch(b"kept"))
    now = box.committer.finish(0.0)
    box.append(batch(b"being flushed"))
    box.committer.begin_round(now)
    box.append(batch(b"waiting"))
    box.disk.fail("write", "*.log")
    with pytest.raises(WriteFailed):
        box.append(batch(b"failed"))
    # They have been cut off already.
    assert (box.log.committed_offset, box.log.log_end_offset) == (1, 1)
    box.committer.finish(now)
    assert box.listener.committed == [1] and box.log.committed_offset == 1
    assert len(box.listener.losses) == 1
    box.log.check_invariant()


def test_a_file_that_can_not_be_opened_stores_nothing_and_keeps_the_log() -> None:
    box = Box(open_files=1)
    box.fill(3)
    box.directory.open("other", 0, "BBBBBBBBBBBBBBBBBBBBBB", SMALL).append(batch(b"x"), 0, NOW)
    box.disk.fail("open", "*topic-0*.log", errno.EMFILE)
    with pytest.raises(WriteFailed, match="can't be opened"):
        box.append(batch(b"x"))
    assert box.log.offline is None
    box.append(batch(b"y"))
    assert len(read_all(box.log)) == 4


def test_leader_epochs_that_can_not_be_written_are_written_later() -> None:
    box = Box()
    fault = box.disk.fail("write_file", "*leader-epoch-checkpoint", times=None)
    box.fill(3, epoch=4)
    box.disk.faults.remove(fault)
    box.reopen()
    assert box.directory.was_clean
    assert box.log.end_of_epoch(4) == (4, 3)
    assert box.log_reads() == []


# A full disk


def test_a_full_disk_refuses_writes_and_keeps_reads_going() -> None:
    box = Box()
    box.fill(10)
    box.disk.capacity = sum(len(inode.data) for _, inode in box.disk.files()) + 30
    for _ in range(3):
        with pytest.raises(DiskFull, match=r"no space left on the disk of .*nothing was stored.*retention"):
            box.append(batch(b"x" * 50))
        assert (box.log.log_end_offset, box.log.committed_offset, box.log.offline) == (10, 10, None)
        assert len(read_all(box.log)) == 10
    box.log.check_invariant()
    box.disk.capacity = None
    box.fill(10, first=10)
    assert len(read_all(box.log)) == 20
    box.kill()
    assert len(read_all(box.log)) == 20


def test_what_a_full_disk_took_of_a_refused_write_does_not_come_back() -> None:
    for names in (True, False):
        for content in (True, False):
            box = Box(committer=DelayingCommitter)
            box.fill(3)
            box.committer.finish(0)
            size = len(batch(b"x"))
            box.disk.capacity = sum(len(inode.data) for _, inode in box.disk.files()) + 3 * size
            with pytest.raises(DiskFull):
                # Two whole batches of it fit.
                box.append(batch(b"x") * 4)
            box.disk.capacity = None
            box.append(batch(b"y"))
            # Of two things that were not synced, the power cut may keep the write and not the cut before it.
            inode = box.disk.inode(box.log.segments[0].path)
            inode.pending = [operation for operation in inode.pending if isinstance(operation, Write)]
            box.crash(fate=Fate(names=names, content=content))
            expected = [b"record %d" % number + b"." * 20 for number in range(3)]
            assert values(read_all(box.log)) == expected + [b"y"] * content


def test_a_write_that_could_not_be_undone_takes_the_log_offline() -> None:
    box = Box()
    box.fill(3)
    box.disk.capacity = sum(len(inode.data) for _, inode in box.disk.files()) + 30
    box.disk.fail("truncate", "*.log")
    with pytest.raises(WriteFailed, match="could not be undone"):
        box.append(batch(b"x" * 50))
    assert box.log.offline is not None
    box.disk.capacity = None
    box.kill()
    assert len(read_all(box.log)) == 3


def test_index_entries_that_find_no_space_are_written_later(lines: Lines) -> None:
    box = Box(replace(SMALL, segment_bytes=1 << 20, index_interval_bytes=0))
    fault = box.disk.fail("write", "*index", errno.ENOSPC, times=None)
    box.fill(1500)
    assert lines.of("index entries not written yet")
    assert len(read_all(box.log, 10_000)) == 1500
    box.disk.faults.remove(fault)
    box.fill(600, first=1500)
    box.log.roll()
    assert len(box.disk.inode(box.log.segments[0].index.path).data) == 8 * 2099
    box.reopen()
    assert len(read_all(box.log, 10_000)) == 2100


def test_a_full_disk_makes_no_clean_stop_and_loses_nothing(lines: Lines) -> None:
    box = Box()
    box.fill(10)
    fault = box.disk.fail("write_file", "*.snapshot", errno.ENOSPC, times=None)
    box.directory.close()
    assert [line["log"] for line in lines.of("no clean stop")] == ["topic-0"]
    box.disk.faults.remove(fault)
    box.open()
    assert not box.directory.was_clean
    assert len(read_all(box.log)) == 10


def test_a_full_disk_is_had_again_by_deleting_records() -> None:
    box = Box()
    box.fill(40)
    box.disk.capacity = sum(len(inode.data) for _, inode in box.disk.files())
    with pytest.raises(DiskFull):
        box.append(batch(b"x" * 50))
    box.log.delete_records_before(30)
    assert box.log.apply_retention(NOW) >= 2
    box.log.remove_doomed(NOW)
    box.append(batch(b"x" * 50))
    assert box.log.log_end_offset == 41


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here; the same is tested on a fake disk")
    yield tmp_path
    # At once, whatever mappings and open files still refer to it.
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def _fill_up(append: Callable[[], object]) -> int:
    for count in range(10_000):
        try:
            append()
        except DiskFull:
            return count
    raise AssertionError("the disk has no end")


def test_a_real_disk_that_is_full(small_disk: Path) -> None:
    box = Box(LogConfig(segment_bytes=40_000, file_delete_delay_ms=0), disk=OsDisk(), path=str(small_disk / "data"))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(60_000))
    stored = _fill_up(lambda: box.append(batch(b"x" * 1000)))
    assert stored > 50
    for _ in range(3):
        with pytest.raises(StorageError):
            box.append(batch(b"x" * 1000))
        assert len(read_all(box.log, 50_000)) == stored
    box.log.check_invariant()
    ballast.unlink()
    stored += _fill_up(lambda: box.append(batch(b"x" * 1000)))
    assert len(read_all(box.log, 50_000)) == stored == box.log.log_end_offset
    box.log.delete_records_before(stored - 20)
    assert box.log.apply_retention(NOW) > 0
    box.log.remove_doomed(NOW)
    box.append(batch(b"last"))
    assert values(read_all(box.log, 50_000))[-1] == b"last"
    box.directory.close()
    box.open()
    assert box.directory.was_clean and box.log.log_end_offset == stored + 1
    found = read(box.log, stored)
    assert len(found.data) > 0
    box.directory.close()
    assert os.path.ismount(small_disk)
