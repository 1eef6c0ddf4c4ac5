"""What fuzzing has kept is replayed, and a little chance beside it."""

from random import Random

import pytest

from tests.fuzz.__main__ import corpus, mutated
from tests.fuzz.targets import TARGETS

RUNS = 300


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_kept_harms_nobody(name: str) -> None:
    for data in corpus(name):
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_bytes_that_are_wrong_harm_nobody(name: str) -> None:
    inputs, random = corpus(name), Random(name)
    for _ in range(RUNS):
        data = mutated(random.choice(inputs), inputs, random)
        try:
            TARGETS[name](data)
        except Exception as error:
            raise AssertionError(f"{name} on {data!r}") from error
