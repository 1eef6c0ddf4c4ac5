"""Space that is kept free: records are refused before the disk is full, and taken again by themselves."""

import errno
from dataclasses import replace

import pytest
from logserver_segments.config import LogConfig
from logserver_segments.errors import DiskFull
from logserver_segments.space import SpaceGuard

from .conftest import Lines
from .fake_disk import FakeDisk
from .support import PATH, SMALL, Box, batch, keyed, read_all, run

KEPT = 8000
FULL = r"topic-0: no space left .*log.dir.min.free.bytes=8000 .*reading goes on"


def _box(free: int) -> Box:
    """A log on a disk that has so many bytes free."""
    disk = FakeDisk()
    box = Box(LogConfig(), disk=disk, least_free_bytes=KEPT)
    disk.capacity = 0
    disk.capacity = sum(len(inode.data) for _, inode in disk.files()) + free
    return box


def test_what_would_leave_too_little_is_refused_and_nothing_of_it_stored() -> None:
    box = _box(KEPT + 1000)
    box.append(batch(b"." * 100))
    with pytest.raises(DiskFull, match=FULL):
        box.append(batch(b"." * 1000))
    assert len(read_all(box.log)) == box.log.log_end_offset == 1
    # So is a small one now, until housekeeping finds that there is more again.
    with pytest.raises(DiskFull, match=FULL):
        box.append(batch(b"b"))
    box.disk.capacity = 100_000
    with pytest.raises(DiskFull, match=FULL):
        box.append(batch(b"b"))
    box.directory.tick()
    box.append(batch(b"." * 1000), batch(b"b"))
    assert len(read_all(box.log)) == 3
    box.crash()
    assert len(read_all(box.log)) == 3


def test_own_writes_never_take_it_by_surprise() -> None:
    box = _box(KEPT + 3000)
    with pytest.raises(DiskFull):
        while True:
            box.append(batch(b"." * 50))
    assert KEPT <= box.disk.free() < KEPT + 3000 and box.log.log_end_offset > 10


def test_what_others_write_is_noticed_in_time() -> None:
    box = _box(1_000_000)
    box.append(batch(b"a"))
    assert box.disk.capacity is not None
    box.disk.capacity -= 995_000
    box.append(batch(b"b"))
    box.directory.tick()
    with pytest.raises(DiskFull, match=FULL):
        box.append(batch(b"c"))


def test_records_are_taken_again_only_when_there_is_a_little_more() -> None:
    box = _box(KEPT)
    with pytest.raises(DiskFull):
        box.append(batch(b"a"))
    assert box.disk.capacity is not None
    box.disk.capacity += 900
    box.directory.tick()
    with pytest.raises(DiskFull):
        box.append(batch(b"a"))
    box.disk.capacity += 200
    box.directory.tick()
    box.append(batch(b"a"))


def test_a_batch_that_is_very_large_does_not_keep_small_ones_out() -> None:
    box = _box(KEPT + 20_000)
    with pytest.raises(DiskFull, match=FULL):
        box.append(batch(b"." * 30_000))
    box.append(batch(b"a"))


def test_a_log_of_what_gives_space_back_is_written_to_the_end() -> None:
    box = _box(KEPT - 1)
    with pytest.raises(DiskFull):
        box.append(batch(b"a"))
    box.log.config = LogConfig(uses_reserved_space=True)
    box.append(batch(b"a"))


def test_retention_and_deletion_go_on() -> None:
    box = Box(replace(SMALL, retention_bytes=2000), least_free_bytes=KEPT)
    box.fill(100)
    box.disk.capacity = sum(len(inode.data) for _, inode in box.disk.files()) + 1000
    box.directory.tick()
    with pytest.raises(DiskFull, match=FULL):
        box.append(batch(b"a"))
    assert box.log.apply_retention(box.clock.now) > 0
    box.log.delete_records_before(box.log.committed_offset - 3)
    box.log.apply_retention(box.clock.now)
    run(box.directory.remove_doomed())
    box.directory.tick()
    box.append(batch(b"a"))


def test_a_compaction_leaves_a_half_of_what_is_kept_free(lines: Lines) -> None:
    config = replace(SMALL, compact=True, delete=False, segment_bytes=100_000, min_cleanable_dirty_ratio=0.0)
    box = Box(config, least_free_bytes=KEPT)
    for number in range(200):
        box.append(keyed((b"key %d" % (number % 30), b"." * 50)))
    box.log.roll()
    before = read_all(box.log)
    used = sum(len(inode.data) for _, inode in box.disk.files())
    box.disk.capacity = used + KEPT // 2 + 1000
    assert run(box.directory.compact()) == 0
    (line,) = lines.of("compaction failed, and is tried again later")
    assert "has to leave 4000" in line["error"]
    assert box.log.offline is None and read_all(box.log) == before
    # Nothing of it is left there, and with a little more it is what helps a disk on which records are refused.
    assert box.disk.free() == KEPT // 2 + 1000
    box.disk.capacity += 3000
    box.directory.tick()
    with pytest.raises(DiskFull, match=FULL):
        box.append(keyed((b"a", b"b")))
    box.clock.advance(60_000)
    assert run(box.directory.compact()) == 1
    assert len(read_all(box.log)) < 100
    box.directory.tick()
    box.append(keyed((b"a", b"b")))


def test_a_disk_that_does_not_tell_its_space_keeps_nobody_from_writing(lines: Lines) -> None:
    disk = FakeDisk()

    def space(path: str) -> tuple[int, int]:
        raise OSError(errno.EIO, "Input/output error", path)

    disk.space = space  # type: ignore[method-assign]
    guard = SpaceGuard(disk, PATH, KEPT)
    for _ in range(5):
        guard.take(1000, "t-0")
        guard.measure()
    assert not guard.is_short and len(lines.of("free space is not known")) == 1


def test_nothing_is_kept_unless_it_is_asked_for() -> None:
    disk = FakeDisk(capacity=20_000)
    box = Box(disk=disk)
    with pytest.raises(DiskFull, match="no space left on the disk"):
        while True:
            box.append(batch(b"." * 50))
    assert disk.free() < 1000
