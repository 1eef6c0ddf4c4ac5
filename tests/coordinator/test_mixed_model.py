"""A group keeps its promises while it changes between the protocols, whatever happens to its members of either kind."""

import pytest
from hypothesis.stateful import run_state_machine_as_test

from ..segments.profiles import long, quick
from .mixed_model import MixedModel


def test_mixed_groups_keep_their_promises() -> None:
    run_state_machine_as_test(MixedModel, settings=quick(300, 20))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_mixed_groups_keep_their_promises_for_long() -> None:
    run_state_machine_as_test(MixedModel, settings=long(10_000, 40))
