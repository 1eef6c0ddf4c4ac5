"""The groups' own topic is compacted as it grows, and says the same afterwards."""

from pathlib import Path

from logserver_client import AdminClient, Consumer, TopicPartition

from logserver.testing import LogServer

SETTINGS = {"offsets.topic.num.partitions": "1", "offsets.topic.segment.bytes": "4096"}


def test_offsets_survive_compaction_and_a_restart(tmp_path: Path) -> None:
    partition = TopicPartition("t", 0)
    server = LogServer(data_dir=tmp_path / "data", settings=SETTINGS)
    with server:
        with AdminClient(server.grpc) as admin:
            admin.create_topic("t", partitions=1)
            for offset in range(300):
                admin.commit_offsets("much", {partition: offset})
            admin.commit_offsets("little", {partition: 7})
            with Consumer(server.grpc, group_id="members") as consumer:
                consumer.subscribe("t")
                consumer.poll(timeout=0)
        before = _bytes(tmp_path)
        server.call(lambda daemon: daemon.directories.online[0].compact())
        assert _bytes(tmp_path) < before / 3
        with AdminClient(server.grpc) as admin:
            admin.commit_offsets("much", {partition: 300})
        server.stop()
        server.start()
        with AdminClient(server.grpc) as admin:
            assert {group.group_id for group in admin.list_groups()} == {"little", "members", "much"}
            for group, offset in (("much", 300), ("little", 7)):
                committed = admin.committed_offsets(group)[partition]
                assert committed is not None and committed.offset == offset


def _bytes(tmp_path: Path) -> int:
    """Returns the size of what is live of the topic; segments that are to be deleted have another ending."""
    return sum(file.stat().st_size for file in (tmp_path / "data" / "__consumer_offsets-0").glob("*.log"))
