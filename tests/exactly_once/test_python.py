"""Exactly once with confluent-kafka and with the bundled client, whatever is killed."""

import sys

import pytest

from tests.daemon.processes import ServerProcess

from .copying import Proof, check, command

COPIERS = {
    "confluent-kafka": command(sys.executable, "-m", "tests.exactly_once.confluent_copier", "{kafka}"),
    "bundled": command(sys.executable, "-m", "tests.exactly_once.bundled_copier", "{grpc}"),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("client", COPIERS)
@pytest.mark.parametrize(
    ("records", "copier_kills", "server_kills"),
    [(2_000, 3, 1), pytest.param(40_000, 20, 5, marks=pytest.mark.long)],
    ids=["some", "many"],
)
def test_everything_is_copied_once(
    fixed_server: ServerProcess, client: str, records: int, copier_kills: int, server_kills: int
) -> None:
    proof = Proof(
        fixed_server,
        COPIERS[client],
        records=records,
        copier_kills=copier_kills,
        server_kills=server_kills,
        partitions=4,
        seed=records,
    )
    outcome = proof.run()
    check(outcome)
    assert (outcome.copier_kills, outcome.server_kills) == (copier_kills, server_kills)
