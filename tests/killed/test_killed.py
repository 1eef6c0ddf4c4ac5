"""The server is killed under load again and again: what was acknowledged is there, once, without gaps."""

import random
from pathlib import Path

import pytest

from tests.daemon.processes import ServerProcess
from tests.exactly_once.conftest import free_address

from .conftest import Verify
from .load import CLIENTS, Load, Outcome

SETTINGS = {
    # Segments, checkpoints and snapshots are on their way at most kills.
    "log.segment.bytes": "400000",
    "log.flush.offset.checkpoint.interval.ms": "200",
    "log.index.interval.bytes": "512",
}


@pytest.mark.timeout(1_500)
@pytest.mark.parametrize(
    ("kills", "seed"), [(4, 4), pytest.param(100, 100, marks=pytest.mark.long)], ids=["some", "hundred"]
)
def test_nothing_is_lost_and_nothing_is_there_twice(tmp_path: Path, verify: Verify, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    arguments = ("--kafka-listen", free_address(), "--grpc-listen", free_address())
    outcome = Outcome()
    data = tmp_path / "data"
    with ServerProcess(data, *arguments, settings=SETTINGS) as server, Load(server) as load:
        for _ in range(kills):
            load.wait_for(rng.randrange(1, 300))
            server.kill()
            verify(data, outcome.notes)
            outcome.kills += 1
            server.start()
        load.wait_for(50)
        load.end()
        load.compare(outcome)
        assert server.stop() == 0
        verify(data, outcome.notes)
    print(f"seed {seed}: {outcome}")
    assert outcome.failures == []
    assert (outcome.lost, outcome.twice, outcome.gaps, outcome.out_of_order) == (0, 0, 0, 0), outcome
    assert outcome.kills == kills
    assert outcome.acknowledged.keys() == {client.name for client in CLIENTS}
    assert outcome.stored == sum(outcome.acknowledged.values())
