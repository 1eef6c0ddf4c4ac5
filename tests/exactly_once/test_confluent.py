"""Exactly once with confluent-kafka, whatever is killed."""

import sys

import pytest

from tests.daemon.processes import ServerProcess

from .copying import Proof, check, command

COPIER = command(sys.executable, "-m", "tests.exactly_once.confluent_copier", "{kafka}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("records", "copier_kills", "server_kills"),
    [(2_000, 3, 1), pytest.param(40_000, 20, 5, marks=pytest.mark.long)],
    ids=["some", "many"],
)
def test_everything_is_copied_once(
    fixed_server: ServerProcess, records: int, copier_kills: int, server_kills: int
) -> None:
    proof = Proof(
        fixed_server,
        COPIER,
        records=records,
        copier_kills=copier_kills,
        server_kills=server_kills,
        partitions=4,
        seed=records,
    )
    outcome = proof.run()
    check(outcome)
    assert (outcome.copier_kills, outcome.server_kills) == (copier_kills, server_kills)
