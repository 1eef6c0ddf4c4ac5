"""Every message is settled, and comes twice only if it was in flight at a kill."""

from pathlib import Path

import pytest

from tests.daemon.processes import ServerProcess

from .kills import Outcome, Proof


def folder(tmp_path: Path) -> Path:
    (tmp_path / "stories").mkdir()
    return tmp_path / "stories"


def check(outcome: Outcome) -> None:
    print(outcome)
    assert (outcome.unsettled, outcome.never, outcome.unexplained, outcome.back, outcome.falling) == (0, 0, 0, 0, 0)


def test_killed_workers_and_servers_lose_nothing(tmp_path: Path, server_process: ServerProcess) -> None:
    proof = Proof(
        server_process,
        folder(tmp_path),
        messages=20_000,
        workers=4,
        worker_kills=4,
        server_kills=2,
        partitions=3,
        seed=1,
    )
    check(proof.run())


@pytest.mark.long
def test_a_million_messages_twenty_workers(tmp_path: Path, server_process: ServerProcess) -> None:
    proof = Proof(
        server_process,
        folder(tmp_path),
        messages=1_000_000,
        workers=20,
        worker_kills=40,
        server_kills=10,
        partitions=4,
        seed=2,
    )
    check(proof.run())
