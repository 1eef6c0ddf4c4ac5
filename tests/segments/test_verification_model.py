"""Whatever a log goes through, kills and power cuts among it: a check of what is left finds nothing."""

import pytest
from hypothesis.stateful import run_state_machine_as_test
from logserver_segments.log import Log
from logserver_segments.verification.conclude import conclude
from logserver_segments.verification.directory import About, Examined, examine
from logserver_segments.verification.findings import Finding, Replace
from logserver_segments.verification.task import check

from .compaction_model import CompactionModel
from .log_model import LogModel
from .profiles import long, quick
from .support import TOPIC_ID, Box
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
