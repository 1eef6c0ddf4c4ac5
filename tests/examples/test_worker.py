"""A worker of the demonstration against a real server."""

from pathlib import Path

import pytest
from logserver_client import AdminClient, Producer, TopicPartition

from examples.flights.team import Team, WorkerError
from logserver.testing import LogServer

COUNT = 1_000


@pytest.fixture
def topic(log_server: LogServer) -> str:
    with AdminClient(log_server.grpc) as admin, Producer(log_server.grpc) as producer:
        admin.create_topic("flights", partitions=2)
        for number in range(COUNT):
            producer.send("flights", b"%d" % number, key=b"%d" % (number % 7), headers=[("row", b"%d" % number)])
    return "flights"


def test_workers_share_the_records_commit_and_leave(log_server: LogServer, topic: str, tmp_path: Path) -> None:
    with AdminClient(log_server.grpc) as admin, Team(tmp_path / "team", 2, log_server.grpc, topic, "workers") as team:
        team.begin()
        team.wait_for("all records", lambda: team.count == COUNT and not any(j.uncommitted() for j in team.journals))
        team.wait_for("a partition each", lambda: [len(journal.partitions) for journal in team.journals] == [1, 1])
        assert team.stop()
        group = admin.describe_group("workers")
        committed = admin.committed_offsets("workers", [(topic, 0), (topic, 1)])
    assert (group.lag, group.members) == (0, ())
    assert sum(found.offset for found in committed.values()) == COUNT
    assert set(committed) <= {TopicPartition(topic, 0), TopicPartition(topic, 1)}
    assert sorted(row for journal in team.journals for stint in journal.stints for row in stint.rows) == [*range(COUNT)]


def test_a_worker_that_ends_by_itself_is_an_error(log_server: LogServer, topic: str, tmp_path: Path) -> None:
    with Team(tmp_path / "team", 1, log_server.grpc, topic, "workers") as team:
        team.members[0].wait_until_ready()
        team.members[0].process.kill()
        with pytest.raises(WorkerError, match="worker-1 has ended"):
            team.wait_for("something", lambda: False)
