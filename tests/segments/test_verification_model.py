"""Whatever a log goes through, kills and power cuts among it: a check of what is left finds nothing."""

import pytest
from hypothesis.stateful import run_state_machine_as_test
from logserver_segments.log import Log
from logserver_segments.partition_log import AbortedTransaction
from logserver_segments.transaction_index import packed
from logserver_segments.verification.aborted import TransactionIndexCheck
from logserver_segments.verification.conclude import conclude
from logserver_segments.verification.directory import About, Examined, examine
from logserver_segments.verification.findings import Finding, Replace
from logserver_segments.verification.task import check

from .compaction_model import CompactionModel
from .fake_disk import FakeDisk
from .log_model import LogModel
from .profiles import long, quick
from .support import TOPIC_ID, Box, run
from .transaction_model import TransactionModel


def is_of_a_power_cut(examined: Examined, finding: Finding) -> bool:
    """Whether it is about what was never acknowledged: of that, a power cut can leave what is later and take what is
    earlier. A start drops it, so a check names it."""
    points = examined.recovery_points or {}
    fix = finding.fix
    return not examined.is_clean and isinstance(fix, Replace) and fix.first_offset >= points.get(("topic", 0), 0)


@pytest.fixture(autouse=True)
def checks_before_it_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has every box look at its directory before it opens it."""
    opens = Box.open

    def open_checked(self: Box) -> Log:
        if self.disk.exists(self.path) and self.disk.exists(f"{self.path}/meta.properties"):
            examined = examine(self.path, lambda key: About(TOPIC_ID, self.config.compact), self.disk)
            found = conclude(examined, [check(task, self.disk) for task in examined.tasks], self.disk)
            wrong = [finding for finding in found.findings if not is_of_a_power_cut(examined, finding)]
            assert wrong == []
            self.log_reads()
        return opens(self)

    monkeypatch.setattr(Box, "open", open_checked)


def test_a_snapshot_of_segments_that_are_gone_is_no_finding() -> None:
    box = Box()
    box.fill(60)
    box.log.delete_records_before(50)
    box.log.apply_retention(box.clock.now)
    run(box.directory.persist_start_offsets())
    assert box.log.segments[0].base_offset > 10
    # A power cut takes back that it was removed.
    path = f"{box.log.directory}/{10:020d}.snapshot"
    box.disk.write_file(path, b"odd", durable=True)
    box.disk.kill()
    examined = examine(box.path, lambda key: About(TOPIC_ID, False), box.disk)
    found = conclude(examined, [check(task, box.disk) for task in examined.tasks], box.disk)
    assert found.findings == ()
    assert any(note.path == path and "segments that are gone" in note.text for note in found.notes)


@pytest.mark.parametrize(
    ("entry", "known"),
    [
        # It was met when its beginning had been deleted.
        (AbortedTransaction(11, 13, 14, 7), AbortedTransaction(11, 0, 14, 5)),
        # It ended before the log start.
        (AbortedTransaction(11, 2, 5, 6), AbortedTransaction(11, 1, 5, 6)),
        (None, AbortedTransaction(11, 1, 5, 6)),
        # Another one was open that began before it.
        (AbortedTransaction(11, 12, 14, 9), AbortedTransaction(11, 12, 14, 5)),
    ],
)
def test_of_aborted_transactions_what_is_before_the_log_start_does_not_matter(
    entry: AbortedTransaction | None, known: AbortedTransaction
) -> None:
    disk = FakeDisk()
    disk.make_directory("/d")
    path = "/d/0.txnindex"
    if entry is not None:
        disk.write_file(path, packed([entry]), durable=True)
    for start_offset, is_fine in ((11, True), (0, False)):
        index = TransactionIndexCheck(path, 0, start_offset, disk)
        index.take(known.last_offset, known, is_exact=True)
        index.end()
        assert (index.problem is None) is is_fine


# What the models below have found.


def test_a_snapshot_that_a_power_cut_has_torn_does_not_stay() -> None:
    model = CompactionModel()
    model.power_goes_while_compacting(killed=True, operations=0, seed=0)
    model.append(is_idempotent=True, pairs=[(b"a", None)])
    model.end_a_transaction(is_bumped=False, is_commit=False, producer_id=11)
    model.roll()
    model.end_a_transaction(is_bumped=False, is_commit=False, producer_id=11)
    model.crash(seed=2_556_753_985)
    model.stop_and_start()


def test_transactions_that_began_before_the_first_segment_are_known_when_everything_is_read_again() -> None:
    model = CompactionModel()
    model.append_in_a_transaction(pairs=[(b"a", None)], producer_id=11)
    model.checkpoint()
    model.roll()
    model.end_a_transaction(is_bumped=False, is_commit=False, producer_id=11)
    model.delete_records(share=0.5)
    # The leader epochs are torn.
    model.crash(seed=1)
    model.stop_and_start()


def test_the_leader_epoch_of_records_that_came_back_is_known() -> None:
    box = Box()
    box.fill(5)
    run(box.directory.checkpoint())
    box.log.delete_records_before(5)
    # That they were deleted was not durable.
    box.kill()
    assert (box.log.log_start_offset, box.log.log_end_offset) == (0, 5)
    assert box.log.end_of_epoch(0) == (0, 5)
    box.log.truncate(2)
    assert box.log.end_of_epoch(0) == (0, 2)
    box.reopen()


def test_a_log_is_found_whole() -> None:
    run_state_machine_as_test(LogModel, settings=quick(40, 40))


def test_transactions_are_found_whole() -> None:
    run_state_machine_as_test(TransactionModel, settings=quick(40, 40))


def test_a_compacted_log_is_found_whole() -> None:
    run_state_machine_as_test(CompactionModel, settings=quick(40, 40))


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("model", [LogModel, TransactionModel, CompactionModel])
def test_a_log_is_found_whole_for_long(model: type[LogModel]) -> None:
    run_state_machine_as_test(model, settings=long(1500, 80))
