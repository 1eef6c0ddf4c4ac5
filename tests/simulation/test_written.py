"""All that the server writes goes through the disk that records, by what the clients of a seed do."""

import re
from collections import defaultdict

import pytest

from logserver.simulation.disk import Kind, Operation, RecordingDisk
from logserver.simulation.run import simulate
from logserver.simulation.world import COMPACTED, MIXED, PLAIN

SEED = 9
EVERY_LOG = (".log", ".index", ".timeindex", ".snapshot", "leader-epoch-checkpoint", "partition.metadata")
INTERNAL = (
    "__logserver_metadata",
    "__consumer_offsets",
    "__transaction_state",
    "__share_group_state",
    "__queue_history",
)
CHECKPOINTS = (
    "recovery-point-offset-checkpoint",
    "log-start-offset-checkpoint",
    "cleaner-offset-checkpoint",
    "meta.properties",
)


def place_of(path: str) -> tuple[str, str]:
    """Returns a file's topic, none for one beside the logs, and what kind of file it is."""
    *_, folder, name = re.sub(r"^/(data|more)/?", "/", path).split("/")
    return re.sub(r"-\d+(\.[0-9a-f]+-delete)?$", "", folder), re.sub(r"^\d{20}|\.[0-9a-f]{8,}|\.tmp$", "", name)


@pytest.fixture(scope="module")
def done() -> dict[tuple[str, str], set[Kind]]:
    """What is done to files of each kind, by topic and kind, in a run of a seed."""
    found: dict[tuple[str, str], set[Kind]] = defaultdict(set)
    with pytest.MonkeyPatch.context() as patch:
        do = RecordingDisk.do

        def noted(disk: RecordingDisk, operation: Operation) -> None:
            found[place_of(operation.path)].add(operation.kind)
            do(disk, operation)

        patch.setattr(RecordingDisk, "do", noted)
        assert simulate(SEED).violation is None
    return found


@pytest.mark.parametrize("topic", [PLAIN, MIXED, COMPACTED, *INTERNAL])
def test_logs_with_their_indexes_checkpoints_and_snapshots_are_written(
    done: dict[tuple[str, str], set[Kind]], topic: str
) -> None:
    assert [name for name in EVERY_LOG if Kind.WRITE not in done[topic, name]] == []
    assert Kind.CREATE in done[topic, ".log"]


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_what_a_data_directory_has_beside_its_logs_is_written_and_synced(
    done: dict[tuple[str, str], set[Kind]], name: str
) -> None:
    assert done["", name] >= {Kind.CREATE, Kind.WRITE, Kind.SYNC, Kind.RENAME}


def test_transactions_are_indexed(done: dict[tuple[str, str], set[Kind]]) -> None:
    assert Kind.WRITE in done[MIXED, ".txnindex"]


def test_compaction_puts_segments_in_the_place_of_others(done: dict[tuple[str, str], set[Kind]]) -> None:
    assert done[COMPACTED, ".log.cleaned"] >= {Kind.WRITE, Kind.SYNC, Kind.RENAME}
    assert done[COMPACTED, ".replaces.cleaned"] >= {Kind.WRITE, Kind.SYNC, Kind.RENAME}
    assert Kind.RENAME in done[COMPACTED, ".log.swap"]
    assert Kind.REMOVE in done[COMPACTED, ".log"]


def test_everything_that_can_be_done_to_a_disk_is_done(done: dict[tuple[str, str], set[Kind]]) -> None:
    kinds = set().union(*done.values())
    assert kinds >= set(Kind) - {Kind.FAILED_SYNC, Kind.FAILED_SYNC_FILESYSTEM}
