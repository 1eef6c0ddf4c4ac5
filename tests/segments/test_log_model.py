"""The log holds what was appended and acknowledged, once and in order, whatever happens to it."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from .compaction_model import CompactionModel
from .log_model import LogModel
from .profiles import long, quick
from .transaction_model import TransactionModel


def test_a_log_holds_what_a_list_would() -> None:
    run_state_machine_as_test(LogModel, settings=quick(500, 40))


def test_a_log_shows_transactions_as_a_whole_or_not_at_all() -> None:
    run_state_machine_as_test(TransactionModel, settings=quick(400, 40))


def test_a_compacted_log_ends_with_the_same_values() -> None:
    run_state_machine_as_test(CompactionModel, settings=quick(150, 40))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_log_holds_what_a_list_would_for_long() -> None:
    run_state_machine_as_test(LogModel, settings=long(6000, 80))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_log_shows_transactions_as_a_whole_or_not_at_all_for_long() -> None:
    run_state_machine_as_test(TransactionModel, settings=long(5000, 80))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_compacted_log_ends_with_the_same_values_for_long() -> None:
    run_state_machine_as_test(CompactionModel, settings=long(1500, 80))
