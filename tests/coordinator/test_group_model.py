"""A partition has one owner, everything is owned in the end, and no offset is lost, whatever happens to a group."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from ..segments.profiles import long, quick
from .group_model import GroupModel


def test_groups_keep_their_promises() -> None:
    run_state_machine_as_test(GroupModel, settings=quick(300, 30))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_groups_keep_their_promises_for_long() -> None:
    run_state_machine_as_test(GroupModel, settings=long(15_000, 40))
