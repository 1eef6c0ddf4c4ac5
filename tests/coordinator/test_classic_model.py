"""Members of the classic protocol agree, nobody waits for ever, and no offset is lost, whatever happens to a group."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from ..segments.profiles import long, quick
from .classic_model import ClassicModel


def test_classic_groups_keep_their_promises() -> None:
    run_state_machine_as_test(ClassicModel, settings=quick(300, 40))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_classic_groups_keep_their_promises_for_long() -> None:
    run_state_machine_as_test(ClassicModel, settings=long(5000, 80))
