"""Transactions are all or nothing, whoever is fenced changes nothing, and nothing hangs, whatever happens."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from ...segments.profiles import long, quick
from .transaction_model import TransactionModel


def test_transactions_keep_their_promises() -> None:
    run_state_machine_as_test(TransactionModel, settings=quick(150, 15))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_transactions_keep_their_promises_for_long() -> None:
    run_state_machine_as_test(TransactionModel, settings=long(5_000, 30))
