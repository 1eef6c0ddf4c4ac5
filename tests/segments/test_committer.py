"""Committers: what makes appends durable, in which order, and what they tell when it fails."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from logserver_segments.committer import FLUSH_FAILED, FlushCommitter, ImmediateCommitter, LogEnd, Loss, LossReason

from .conftest import Lines
from .fake_disk import FakeDisk, FakeFile
from .support import Box, DelayingCommitter, Listener, batch, read_all

TIMEOUT_S = 30


class Owner:
    """The thread that owns the logs: runs what is posted to it, when the test says so."""

    def __init__(self) -> None:
        self._posted: queue.Queue[Callable[[], None]] = queue.Queue()

    def post(self, report: Callable[[], None]) -> None:
        self._posted.put(report)

    def run_one(self) -> None:
        self._posted.get(timeout=TIMEOUT_S)()

    def run_all(self) -> None:
        while not self._posted.empty():
            self.run_one()


class HeldDisk(FakeDisk):
    """A disk whose flushing waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Semaphore(0)
        self.let_go = threading.Semaphore(0)
        self.hold = True

    def before_sync(self) -> None:
        if self.hold:
            self.begun.release()
            assert self.let_go.acquire(timeout=TIMEOUT_S)


class Log:
    """A log as a committer sees it, with a file of its own."""

    def __init__(self, disk: FakeDisk, name: str) -> None:
        if not disk.exists("/d"):
            disk.make_directory("/d")
        self.file: FakeFile = disk.open(f"/d/{name}", create=True)
        self.end = 0
        self.reports: list[Any] = []

    def write(self, committer: Any) -> None:
        self.file.write((b"x",), self.end)
        self.end += 1
        committer.dirty(self, LogEnd(self.end, 0, self.end), self.file, "/d" if self.end == 1 else None)

    def committed(self, end: LogEnd) -> None:
        self.reports.append(end.offset)

    def lost(self, loss: Loss) -> None:
        self.reports.append(loss)


@pytest.fixture
def held() -> Iterator[tuple[HeldDisk, Owner, FlushCommitter]]:
    """A flusher on a disk that waits."""
    disk, owner = HeldDisk(), Owner()
    disk.make_directory("/d")
    committer = FlushCommitter(disk, "/d", owner.post)
    yield disk, owner, committer
    disk.hold = False
    disk.let_go.release(10)
    committer.close()


def test_a_round_takes_all_that_came_during_the_one_before(held: tuple[HeldDisk, Owner, FlushCommitter]) -> None:
    disk, owner, committer = held
    log = Log(disk, "a")
    log.write(committer)
    assert disk.begun.acquire(timeout=TIMEOUT_S)
    for _ in range(5):
        log.write(committer)
    disk.let_go.release()
    assert disk.begun.acquire(timeout=TIMEOUT_S)
    owner.run_one()
    assert log.reports == [1]
    disk.let_go.release()
    owner.run_one()
    assert log.reports == [1, 6]
    assert disk.syncs == ["/d/a"] * 2


def test_a_round_begins_behind_the_turn_that_it_is_asked_for_in() -> None:
    disk, owner = FakeDisk(), Owner()
    disk.make_directory("/d")
    soon: list[Callable[[], None]] = []
    committer = FlushCommitter(disk, "/d", owner.post, soon.append)
    logs = [Log(disk, name) for name in "ab"]
    for _ in range(2):
        for log in logs:
            log.write(committer)
    # Asked for once; nothing of it has been taken.
    (begin,) = soon
    assert len(committer._pending) == 2
    begin()
    owner.run_one()
    assert [log.reports for log in logs] == [[2], [2]]
    assert disk.syncs == ["/d/a", "/d/b"]
    # The end waits for no turn.
    logs[0].write(committer)
    assert len(soon) == 2
    committer.close()
    owner.run_all()
    assert logs[0].reports == [2, 3]


def test_up_to_two_files_are_synced_one_by_one_and_more_by_one_syncfs(
    held: tuple[HeldDisk, Owner, FlushCommitter],
) -> None:
    disk, owner, committer = held
    logs = [Log(disk, name) for name in "abcd"]
    logs[0].write(committer)
    assert disk.begun.acquire(timeout=TIMEOUT_S)
    for log in logs[:2]:
        log.write(committer)
    disk.let_go.release(1)
    assert disk.begun.acquire(timeout=TIMEOUT_S)
    for log in logs[:3]:
        log.write(committer)
    disk.let_go.release(1)
    assert disk.begun.acquire(timeout=TIMEOUT_S)
    disk.let_go.release(1)
    assert disk.begun.acquire(timeout=TIMEOUT_S)
    # The third round waits.
    assert (disk.syncs, disk.filesystem_syncs) == (["/d/a", "/d/a", "/d/b"], 0)
    disk.let_go.release(1)
    for _ in range(3):
        owner.run_one()
    assert (len(disk.syncs), disk.filesystem_syncs) == (3, 1)
    assert [log.reports for log in logs] == [[1, 2, 3], [1, 2], [1], []]


def test_a_log_that_rolled_within_a_round_has_both_files_synced(held: tuple[HeldDisk, Owner, FlushCommitter]) -> None:
    disk, owner, committer = held
    log = Log(disk, "a")
    log.write(committer)
    assert disk.begun.acquire(timeout=TIMEOUT_S)
    log.write(committer)
    log.file = disk.open("/d/b", create=True)
    log.write(committer)
    disk.hold = False
    disk.let_go.release()
    owner.run_one()
    owner.run_one()
    assert log.reports == [1, 3]
    assert sorted(disk.syncs) == ["/d/a", "/d/a", "/d/b"]


def test_one_report_a_round_whatever_the_number_of_logs(held: tuple[HeldDisk, Owner, FlushCommitter]) -> None:
    disk, owner, committer = held
    logs = [Log(disk, f"log{number}") for number in range(50)]
    logs[0].write(committer)
    assert disk.begun.acquire(timeout=TIMEOUT_S)
    for log in logs:
        log.write(committer)
    disk.hold = False
    disk.let_go.release()
    owner.run_one()
    owner.run_one()
    assert [log.reports[-1] for log in logs] == [2] + [1] * 49
    assert disk.filesystem_syncs == 1


def test_a_failed_sync_is_one_logs_loss(held: tuple[HeldDisk, Owner, FlushCommitter]) -> None:
    disk, owner, committer = held
    disk.hold = False
    first, second = Log(disk, "a"), Log(disk, "b")
    disk.fail("sync", "/d/a")
    with disk.lock_all:
        first.write(committer)
        second.write(committer)
    while not (first.reports and second.reports):
        owner.run_one()
    (loss,) = first.reports
    assert loss.reason is LossReason.FAILED and "Input/output error" in loss.message
    assert second.reports == [1]
    # For the next process.
    assert disk.exists(f"/d/{FLUSH_FAILED}")


def test_a_failed_syncfs_is_every_dirty_logs_loss(held: tuple[HeldDisk, Owner, FlushCommitter]) -> None:
    disk, owner, committer = held
    logs = [Log(disk, name) for name in "abcd"]
    logs[3].write(committer)
    assert disk.begun.acquire(timeout=TIMEOUT_S)
    for log in logs[:3]:
        log.write(committer)
    disk.fail("sync_filesystem")
    disk.hold = False
    disk.let_go.release()
    owner.run_one()
    owner.run_one()
    assert all(isinstance(log.reports[-1], Loss) for log in logs[:3])
    assert logs[3].reports == [1]
    assert disk.exists(f"/d/{FLUSH_FAILED}")


def test_after_a_loss_nothing_is_ever_reported_durable(held: tuple[HeldDisk, Owner, FlushCommitter]) -> None:
    disk, owner, committer = held
    log = Log(disk, "a")
    disk.fail("sync", "/d/a")
    log.write(committer)
    assert disk.begun.acquire(timeout=TIMEOUT_S)
    # A second round begins, and succeeds, before the report of the first arrives.
    log.write(committer)
    disk.let_go.release()
    assert disk.begun.acquire(timeout=TIMEOUT_S)
    log.write(committer)
    disk.hold = False
    disk.let_go.release()
    owner.run_one()
    assert len(log.reports) == 1 and isinstance(log.reports[0], Loss)
    committer.close()
    owner.run_all()
    assert len(log.reports) == 1


def test_nothing_is_reported_of_what_was_taken_back(held: tuple[HeldDisk, Owner, FlushCommitter]) -> None:
    disk, owner, committer = held
    log, other = Log(disk, "a"), Log(disk, "b")
    log.write(committer)
    assert disk.begun.acquire(timeout=TIMEOUT_S)
    log.write(committer)
    other.write(committer)
    committer.discard(log)
    disk.hold = False
    disk.let_go.release()
    owner.run_one()
    owner.run_one()
    assert (log.reports, other.reports) == ([], [1])


def test_an_error_that_nobody_expects_is_a_loss_too_and_flushing_goes_on(
    held: tuple[HeldDisk, Owner, FlushCommitter],
) -> None:
    disk, owner, committer = held
    disk.hold = False
    broken, good = Log(disk, "a"), Log(disk, "b")
    broken.file.sync = lambda: 1 / 0  # type: ignore[method-assign]
    broken.write(committer)
    owner.run_one()
    assert "ZeroDivisionError" in broken.reports[0].message
    good.write(committer)
    owner.run_one()
    assert good.reports == [1]


def test_a_log_that_can_not_take_its_report_keeps_none_from_the_others(
    held: tuple[HeldDisk, Owner, FlushCommitter], lines: Lines
) -> None:
    disk, owner, committer = held
    blocker, broken, good = (Log(disk, name) for name in "xab")
    blocker.write(committer)
    assert disk.begun.acquire(timeout=TIMEOUT_S)
    broken.committed = lambda end: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    broken.write(committer)
    good.write(committer)
    disk.hold = False
    disk.let_go.release()
    owner.run_one()
    owner.run_one()
    assert good.reports == [1]
    assert len(lines.of("a log could not take the report of its flush")) == 1


def test_closing_flushes_what_is_left() -> None:
    disk, owner = FakeDisk(), Owner()
    disk.make_directory("/d")
    committer = FlushCommitter(disk, "/d", owner.post)
    log = Log(disk, "a")
    with disk.lock_all:
        log.write(committer)
    committer.close()
    owner.run_all()
    assert log.reports == [1]
    with pytest.raises(RuntimeError):
        log.write(committer)


def test_a_new_logs_directory_becomes_durable_with_its_first_records() -> None:
    for make in (ImmediateCommitter, DelayingCommitter, _flusher):
        box = Box(committer=make)
        box.append(batch(b"a"))
        if isinstance(box.committer, DelayingCommitter):
            box.committer.finish(0)
        if isinstance(box.committer, FlushCommitter):
            box.committer.close()
            OWNERS.pop().run_all()
        assert box.log.committed_offset == 1
        for seed in range(10):
            box._new_committer = ImmediateCommitter
            box.crash(seed)
            assert len(read_all(box.log)) == 1


OWNERS: list[Owner] = []


def _flusher(disk: Any) -> FlushCommitter:
    OWNERS.append(Owner())
    return FlushCommitter(disk, "/srv/data", OWNERS[-1].post)


def test_the_flusher_serves_a_real_log() -> None:
    box = Box(committer=_flusher)
    owner = OWNERS.pop()
    for number in range(200):
        box.append(batch(b"%d" % number))
        owner.run_all()
        box.log.check_invariant()
    while box.log.committed_offset < 200:
        owner.run_one()
    assert box.listener.committed == sorted(set(box.listener.committed))
    assert len(read_all(box.log)) == 200
    box.committer.close()


def test_rounds_that_take_300_ms_with_several_under_way_report_in_order() -> None:
    box = Box(committer=DelayingCommitter)
    committer: DelayingCommitter = box.committer
    durable_at: dict[int, float] = {}
    for now in range(0, 3000, 50):
        committer.advance(now)
        while len(durable_at) < len(box.listener.committed):
            durable_at[box.listener.committed[len(durable_at)]] = now
        if now < 2000:
            box.append(batch(b"x" * 30))
            committer.begin_round(now)
            assert committer.under_way <= 6
    assert max(durable_at) == 40
    assert all(at == 300 + 50 * (offset - 1) for offset, at in durable_at.items())
    assert len(read_all(box.log)) == 40


def test_a_late_report_never_takes_the_committed_offset_back() -> None:
    box = Box(committer=DelayingCommitter)
    for now in (0, 50):
        box.append(batch(b"x"))
        box.committer.begin_round(now)
    # The topic's setting changes meanwhile: appended counts as committed.
    box.log.config = replace(box.log.config, flush_messages=1000)
    box.append(batch(b"x"))
    assert box.log.committed_offset == 3
    box.committer.advance(10_000)
    assert (box.log.committed_offset, box.listener.committed) == (3, [3])


def test_a_loss_in_the_middle_of_several_rounds_ends_them_all() -> None:
    box = Box(committer=DelayingCommitter)
    committer: DelayingCommitter = box.committer
    for now in (0, 50, 100, 150):
        box.append(batch(b"x"))
        committer.begin_round(now)
    committer.advance(300)
    box.disk.fail("sync", "*.log")
    committer.advance(350)
    committer.advance(10_000)
    assert box.listener.committed == [1]
    assert len(box.listener.losses) == 1
    assert (box.log.committed_offset, box.log.log_end_offset) == (1, 1)


def test_a_flush_within_the_append_that_fails_fails_the_append() -> None:
    box = Box()
    box.append(batch(b"a"))
    box.disk.fail("sync", "*.log")
    with pytest.raises(Exception, match="the disk failed to flush: Input/output error"):
        box.append(batch(b"b"))
    assert box.listener.committed == [1]
    assert isinstance(box.listener, Listener) and len(box.listener.losses) == 1


def test_a_flusher_whose_owner_is_gone_ends(lines: Lines) -> None:
    def refuse(report: Callable[[], None]) -> None:
        raise RuntimeError("Event loop is closed")

    disk = FakeDisk()
    disk.make_directory("/d")
    committer = FlushCommitter(disk, "/d", refuse)
    log = Log(disk, "a")
    log.write(committer)
    committer.close()
    assert log.reports == []
    assert len(lines.of("the flusher ends: nobody takes its reports")) == 1
