"""Every partition has members and every member partitions, whatever happens to a share group."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from ...segments.profiles import long, quick
from .share_model import ShareModel


def test_share_groups_keep_their_promises() -> None:
    run_state_machine_as_test(ShareModel, settings=quick(200, 40))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_share_groups_keep_their_promises_for_long() -> None:
    run_state_machine_as_test(ShareModel, settings=long(5_000, 60))
