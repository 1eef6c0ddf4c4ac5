"""The log holds what was appended and acknowledged, once and in order, whatever happens to it."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from .log_model import LogModel
from .profiles import long, quick


def test_a_log_holds_what_a_list_would() -> None:
    run_state_machine_as_test(LogModel, settings=quick(60, 40))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_log_holds_what_a_list_would_for_long() -> None:
    run_state_machine_as_test(LogModel, settings=long(3000, 80))
