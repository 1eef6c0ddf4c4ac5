"""Exactly once with Apache Kafka's Java clients, whatever is killed."""

import pytest

from tests.daemon.processes import ServerProcess
from tests.other_clients.missing import JARS, KAFKA_TOOLS

from .copying import GROUP, INPUT, OUTPUT, TRANSACTIONAL_ID, Proof, check, command

COPIER = command(
    *("java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{JARS}/*"),
    "org.apache.kafka.tools.TransactionalMessageCopier",
    *("--broker-list", "{kafka}"),
    *("--input-topic", INPUT, "--input-partition", "0", "--output-topic", OUTPUT),
    *("--transactional-id", TRANSACTIONAL_ID, "--consumer-group", GROUP, "--transaction-size", "100"),
    # It asks for the offsets of its group before it takes its transactional id, so one that comes after one that was
    # killed waits until the transaction that this one has left open is over.
    *("--transaction-timeout", "2000"),
    # It aborts some of its transactions itself.
    *("--enable-random-aborts", "--use-group-metadata"),
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("records", "copier_kills", "server_kills"),
    [(5_000, 1, 1), pytest.param(60_000, 20, 5, marks=pytest.mark.long)],
    ids=["some", "many"],
)
def test_everything_is_copied_once(
    fixed_server: ServerProcess, records: int, copier_kills: int, server_kills: int
) -> None:
    KAFKA_TOOLS.need()
    proof = Proof(
        fixed_server,
        COPIER,
        records=records,
        copier_kills=copier_kills,
        server_kills=server_kills,
        partitions=1,
        seed=records,
    )
    outcome = proof.run()
    check(outcome)
    assert (outcome.copier_kills, outcome.server_kills) == (copier_kills, server_kills)
