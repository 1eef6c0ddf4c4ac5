"""The calls of the Groups service, and what doors may do with the server's own topic."""

from typing import Any

import grpc
import pytest
from logserverpb.v1 import admin_pb2, common_pb2, groups_pb2, log_pb2

from logserver.errors import ErrorCode
from tests.broker.harness import NOW_MS

from .members import FAST, Member, by_topic, groups_stub, offset
from .servers import NONE, ProduceStream, Server, at, batch, batches, check_error, plain, refused

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION

pytestmark = pytest.mark.parametrize("server", [FAST], indirect=True)

OFFSETS = "__consumer_offsets"


async def commit(server: Server, *offsets: groups_pb2.OffsetCommit, group_id: str = "g", **fields: Any) -> list[Any]:
    """Commits, and returns the results."""
    request = groups_pb2.CommitOffsetsRequest(group_id=group_id, offsets=offsets, **fields)
    return list((await groups_stub(server).CommitOffsets(request)).results)


async def fetch(server: Server, *places: tuple[str, int], group_id: str = "g", **fields: Any) -> list[tuple[Any, ...]]:
    partitions = [log_pb2.TopicPartition(topic=topic, partition=number) for topic, number in places]
    request = groups_pb2.FetchOffsetsRequest(group_id=group_id, partitions=partitions, **fields)
    found = (await groups_stub(server).FetchOffsets(request)).offsets
    return [(item.topic, item.partition, item.offset, item.leader_epoch, item.metadata) for item in found]


async def reset(server: Server, *partitions: int, **fields: Any) -> list[groups_pb2.ResetOffset]:
    fields = {"group_id": "g", "topic": "t", **fields}
    request = groups_pb2.ResetOffsetsRequest(partitions=partitions, **fields)
    return list((await groups_stub(server).ResetOffsets(request)).offsets)


async def describe(server: Server, group_id: str = "g") -> groups_pb2.DescribeGroupResponse:
    found: groups_pb2.DescribeGroupResponse = await groups_stub(server).DescribeGroup(
        groups_pb2.DescribeGroupRequest(group_id=group_id)
    )
    return found


async def states(server: Server, *states: str) -> list[tuple[str, str, str, int]]:
    found = (await groups_stub(server).ListGroups(groups_pb2.ListGroupsRequest(states=states))).groups
    return [(group.group_id, group.type, group.state, group.members) for group in found]


# Offsets


async def test_what_is_committed_is_fetched(server: Server) -> None:
    await server.topic("t", 4)
    assert await fetch(server, ("t", 0)) == [("t", 0, -1, -1, "")]
    assert await fetch(server) == []
    results = await commit(server, offset(offset=7, leader_epoch=2, metadata="here"), offset(partition=3, offset=0))
    assert [(result.topic, result.partition, result.HasField("error")) for result in results] == [
        ("t", 0, False),
        ("t", 3, False),
    ]
    assert await fetch(server) == [("t", 0, 7, 2, "here"), ("t", 3, 0, -1, "")]
    # As asked for: in that order, and with what there is not.
    places = [("t", 3), ("nowhere", 5), ("t", 0), ("t", 3)]
    assert await fetch(server, *places) == [
        ("t", 3, 0, -1, ""),
        ("nowhere", 5, -1, -1, ""),
        ("t", 0, 7, 2, "here"),
        ("t", 3, 0, -1, ""),
    ]
    # Named twice, the last one counts.
    await commit(server, offset(offset=9), offset(offset=8))
    assert await fetch(server, ("t", 0)) == [("t", 0, 8, -1, "")]
    assert await commit(server) == []


BAD_COMMITS = {
    "an unknown topic": (offset("nowhere"), ErrorCode.unknown_topic_or_partition, "'nowhere'"),
    "no topic": (offset(""), ErrorCode.unknown_topic_or_partition, "''"),
    "an unknown partition": (offset(partition=4), ErrorCode.unknown_topic_or_partition, "0 to 3"),
    "a negative partition": (offset(partition=-1), ErrorCode.unknown_topic_or_partition, "-1"),
    "a negative offset": (offset(offset=-1), ErrorCode.invalid_request, "negative"),
    "a leader epoch that is none": (offset(leader_epoch=-2), ErrorCode.invalid_request, "leader epoch"),
    "too much metadata": (
        offset(metadata="x" * 4_097),
        ErrorCode.offset_metadata_too_large,
        "offset.metadata.max.bytes=4096",
    ),
    "too many bytes of metadata": (
        offset(metadata="\N{SNOWMAN}" * 1_366),
        ErrorCode.offset_metadata_too_large,
        "4098 bytes",
    ),
}


@pytest.mark.parametrize("name", BAD_COMMITS)
async def test_a_bad_commit_is_one_error(server: Server, name: str) -> None:
    bad, code, words = BAD_COMMITS[name]
    await server.topic("t", 4)
    before, result, after = await commit(server, offset(partition=1, offset=5), bad, offset(partition=2, offset=6))
    check_error(result.error, code, words)
    assert not before.HasField("error") and not after.HasField("error")
    assert [found[1:3] for found in await fetch(server)] == [(1, 5), (2, 6)]


async def test_the_largest_values(server: Server) -> None:
    await server.topic("t", 4)
    largest = offset(offset=2**63 - 1, leader_epoch=2**31 - 1, metadata="x" * 4_096)
    (result,) = await commit(server, largest)
    assert not result.HasField("error")
    assert await fetch(server) == [("t", 0, 2**63 - 1, 2**31 - 1, "x" * 4_096)]
    (found,) = (await describe(server)).offsets
    assert found.lag == 0 and found.committed_offset == 2**63 - 1


async def test_who_may_commit(server: Server) -> None:
    await server.topic("t", 4)
    with refused(ErrorCode.unknown_member_id, PRECONDITION, "'m'"):
        await commit(server, offset(), member_id="m", member_epoch=1)
    member = Member(server)
    await member.join("t")
    with refused(ErrorCode.unknown_member_id, PRECONDITION, "has members ('m')", "stop them first"):
        await commit(server, offset())
    with refused(ErrorCode.unknown_member_id, PRECONDITION, "'stranger'"):
        await commit(server, offset(), member_id="stranger", member_epoch=1)
    for epoch in (2, 99):
        with refused(ErrorCode.stale_member_epoch, grpc.StatusCode.ABORTED, f"epoch {epoch}", "its epoch is 1"):
            await commit(server, offset(), member_id="m", member_epoch=epoch)
    # An older epoch is as good as the partition's ownership is old.
    (result,) = await commit(server, offset(), member_id="m", member_epoch=0)
    check_error(result.error, ErrorCode.stale_member_epoch, "epoch 0")
    (result,) = await commit(server, offset(offset=3), member_id="m", member_epoch=1)
    assert not result.HasField("error")
    assert await fetch(server, member_id="m", member_epoch=1) == [("t", 0, 3, -1, "")]
    with refused(ErrorCode.stale_member_epoch, grpc.StatusCode.ABORTED):
        await fetch(server, member_id="m", member_epoch=2)
    with refused(ErrorCode.unknown_member_id, PRECONDITION):
        await fetch(server, member_id="n", member_epoch=1)
    await member.leave()
    await commit(server, offset(offset=4))
    assert await fetch(server) == [("t", 0, 4, -1, "")]


@pytest.mark.parametrize("group_id", ["", "x" * 1_001])
async def test_bad_group_ids(server: Server, group_id: str) -> None:
    stub = groups_stub(server)
    for call in (
        stub.CommitOffsets(groups_pb2.CommitOffsetsRequest(group_id=group_id)),
        stub.FetchOffsets(groups_pb2.FetchOffsetsRequest(group_id=group_id)),
        stub.DescribeGroup(groups_pb2.DescribeGroupRequest(group_id=group_id)),
        stub.DeleteGroup(groups_pb2.DeleteGroupRequest(group_id=group_id)),
        stub.DeleteOffsets(groups_pb2.DeleteOffsetsRequest(group_id=group_id)),
    ):
        with refused(ErrorCode.invalid_group_id, INVALID, "the group id"):
            await call
    await server.topic("t", 1)
    with refused(ErrorCode.invalid_group_id, INVALID, "the group id"):
        await reset(server, group_id=group_id, position=at(latest=True))


@pytest.mark.parametrize("call", ["CommitOffsets", "FetchOffsets", "DeleteOffsets", "ResetOffsets"])
async def test_too_many_partitions_in_one_call(server: Server, call: str) -> None:
    most = server.broker.settings.max_request_partition_size_limit
    many: dict[str, Any] = {
        "CommitOffsets": lambda: groups_pb2.CommitOffsetsRequest(offsets=[offset()] * (most + 1)),
        "FetchOffsets": lambda: groups_pb2.FetchOffsetsRequest(partitions=[log_pb2.TopicPartition()] * (most + 1)),
        "DeleteOffsets": lambda: groups_pb2.DeleteOffsetsRequest(partitions=[log_pb2.TopicPartition()] * (most + 1)),
        "ResetOffsets": lambda: groups_pb2.ResetOffsetsRequest(partitions=range(most + 1)),
    }
    with refused(ErrorCode.invalid_request, INVALID, f"max.request.partition.size.limit={most}"):
        await getattr(groups_stub(server), call)(many[call]())


# Looking


async def test_describing(server: Server) -> None:
    await server.topic("t", 2)
    for _ in range(5):
        await server.store(batch("x"), partition=0)
    member = Member(server)
    join = await member.join("t", pattern="t[0-9]", instance_id="i", client_id="c" * 500, assignor="range", rack_id="r")
    await member.carry_out(join)
    await member.commit(offset(offset=2, leader_epoch=0, metadata="m"))
    found = await describe(server)
    assert (found.group_id, found.type, found.state) == ("g", "consumer", "stable")
    assert (found.group_epoch, found.assignment_epoch, found.assignor) == (1, 1, "range")
    (seen,) = found.members
    assert (seen.member_id, seen.instance_id, seen.client_id) == ("m", "i", "c" * 200)
    assert seen.client_host == "/127.0.0.1"
    assert (seen.member_epoch, seen.state) == (1, "stable")
    assert list(seen.subscription.topics) == ["t"] and seen.subscription.pattern == "t[0-9]"
    assert by_topic(seen.assigned) == by_topic(seen.target) == {"t": [0, 1]}
    assert 0 < seen.session_left_ms <= 45_000
    first, second = found.offsets
    assert (first.committed_offset, first.leader_epoch, first.metadata, first.lag) == (2, 0, "m", 3)
    assert (first.log_start_offset, first.high_watermark, first.member_id) == (0, 5, "m")
    assert first.commit_timestamp_ms > NOW_MS
    assert not second.HasField("committed_offset") and not second.HasField("lag") and second.member_id == "m"
    with refused(ErrorCode.group_id_not_found, NOT_FOUND, "'nobody'"):
        await describe(server, "nobody")


async def test_listing_by_state(server: Server) -> None:
    await server.topic("t", 4)
    assert await states(server) == []
    await commit(server, offset(), group_id="offsets only")
    member = Member(server, group_id="active")
    await member.carry_out(await member.join("t"))
    await member.alive()
    other = Member(server, group_id="gone")
    await other.join("t")
    await other.leave()
    everything = [
        ("active", "consumer", "stable", 1),
        ("gone", "consumer", "empty", 0),
        ("offsets only", "classic", "empty", 0),
    ]
    assert await states(server) == everything
    assert await states(server, "Stable") == everything[:1]
    assert await states(server, "empty", "stable") == everything
    assert await states(server, "nonsense") == []


# Resetting and deleting


async def test_resetting(server: Server) -> None:
    await server.topic("t", 2)
    for number in range(6):
        await server.store(batch("x", timestamp_ms=NOW_MS + number))
    first, second = await reset(server, position=at(earliest=True))
    assert (first.topic, first.partition, first.offset, first.clamped) == ("t", 0, 0, False)
    assert not first.HasField("previous_offset") and not first.HasField("error") and second.partition == 1
    for fields, expected in (
        ({"position": at(latest=True)}, (0, 6, False)),
        ({"shift_by": -2}, (6, 4, False)),
        ({"shift_by": -9}, (4, 0, True)),
        ({"position": at(offset=99)}, (0, 6, True)),
        ({"position": at(timestamp=NOW_MS + 3)}, (6, 3, False)),
        ({"position": at(offset=2), "validate_only": True}, (3, 2, False)),
        ({"position": at(timestamp=NOW_MS + 99)}, (3, 6, False)),
        ({"shift_by": 0}, (6, 6, False)),
    ):
        (found,) = await reset(server, 0, **fields)
        assert (found.previous_offset, found.offset, found.clamped) == expected, fields
    for fields, words in (
        ({}, "say where to"),
        ({"position": common_pb2.Position()}, "say where to"),
        ({"position": at(max_timestamp=True)}, "say where to"),
        ({"position": at(offset=-1)}, "negative"),
    ):
        with refused(ErrorCode.invalid_request, INVALID, words):
            await reset(server, 0, **fields)
    with refused(ErrorCode.unknown_topic_or_partition, NOT_FOUND, "'nowhere'"):
        await reset(server, topic="nowhere", position=at(latest=True))
    (beyond,) = await reset(server, 7, position=at(latest=True))
    check_error(beyond.error, ErrorCode.unknown_topic_or_partition, "no partition 7")
    member = Member(server)
    await member.join("t")
    with refused(ErrorCode.non_empty_group, PRECONDITION, "m (session ends in 4", "stop them first"):
        await reset(server, position=at(latest=True))


async def test_deleting(server: Server) -> None:
    await server.topic("t", 4)
    await server.topic("u", 4)
    member = Member(server)
    await member.join("t")
    await member.commit(offset(offset=1), offset("u", offset=2))
    stub = groups_stub(server)
    places = [log_pb2.TopicPartition(topic=topic, partition=0) for topic in ("t", "u")]
    request = groups_pb2.DeleteOffsetsRequest(group_id="g", partitions=places)
    subscribed, gone = (await stub.DeleteOffsets(request)).results
    check_error(subscribed.error, ErrorCode.group_subscribed_to_topic, "'t'")
    assert not gone.HasField("error") and gone.topic == "u"
    with refused(ErrorCode.non_empty_group, PRECONDITION, "m (session ends in"):
        await stub.DeleteGroup(groups_pb2.DeleteGroupRequest(group_id="g"))
    await member.leave()
    await stub.DeleteGroup(groups_pb2.DeleteGroupRequest(group_id="g"))
    assert await states(server) == []
    with refused(ErrorCode.group_id_not_found, NOT_FOUND):
        await stub.DeleteGroup(groups_pb2.DeleteGroupRequest(group_id="g"))
    with refused(ErrorCode.group_id_not_found, NOT_FOUND):
        await stub.DeleteOffsets(request)


# The server's own topic


async def test_only_the_server_writes_to_its_own_topics(server: Server) -> None:
    await server.topic("t", 4)
    await commit(server, offset(offset=5))
    (partition,) = {p for p in range(4) if server.partition(OFFSETS, p).high_watermark}
    end = server.partition(OFFSETS, partition).log_end_offset
    items = [
        batches(batch("x"), OFFSETS, partition),
        plain(common_pb2.Record(value=b"x"), topic=OFFSETS, partition=partition),
        batches(b"rubbish", OFFSETS, partition),
        batches(batch("fine")),
    ]
    stream = ProduceStream(server)
    for number, acks in enumerate((log_pb2.ACKS_ALL, log_pb2.ACKS_LEADER, NONE)):
        response = await server.log.Produce(log_pb2.ProduceRequest(partitions=items, acks=acks))
        await stream.send(number, *items, acks=acks)
        for results in (response.results, await stream.answer(number)):
            *refusals, fine = results
            for result in refusals:
                check_error(result.error, ErrorCode.invalid_topic_exception, "only the server writes to it", OFFSETS)
                assert result.base_offset == -1
            assert not fine.HasField("error")
    assert server.partition(OFFSETS, partition).log_end_offset == end
    with refused(ErrorCode.invalid_topic_exception, INVALID, "keeps this name for itself"):
        await server.topic(OFFSETS)
    with refused(ErrorCode.invalid_topic_exception, INVALID, "belongs to the server"):
        await server.admin.DeleteTopic(admin_pb2.DeleteTopicRequest(name=OFFSETS))
    with refused(ErrorCode.invalid_topic_exception, INVALID, "keeps the number of partitions"):
        await server.admin.CreatePartitions(admin_pb2.CreatePartitionsRequest(name=OFFSETS, partitions=10))
    assert await fetch(server) == [("t", 0, 5, -1, "")]
    # It is there to be read, and listed by whoever asks for it.
    assert len(await server.read_all(OFFSETS, partition)) == end
    for include, names in ((False, ["t"]), (True, [OFFSETS, "t"])):
        listed = await server.admin.ListTopics(admin_pb2.ListTopicsRequest(include_internal=include))
        assert [topic.name for topic in listed.topics] == names


async def test_a_restart_of_the_server_keeps_groups(server: Server) -> None:
    await server.topic("t", 4)
    member, static = Member(server), Member(server, "s1", "h")
    assignment = await member.join("t")
    await member.carry_out(assignment)
    await member.commit(offset(offset=7, leader_epoch=1, metadata="here"))
    await static.join("t", instance_id="i")
    await static.leave(will_return=True)
    await commit(server, offset(offset=3), group_id="alone")
    before = await states(server)
    await server.stop()
    await server.start()
    assert await states(server) == before
    again = Member(server)
    back = await again.join("t", member_epoch=assignment.member_epoch, owned=by_topic(assignment.partitions))
    assert back.member_epoch == assignment.member_epoch and by_topic(back.partitions) == {"t": [0, 1, 2, 3]}
    assert await fetch(server, member_id="m", member_epoch=back.member_epoch) == [("t", 0, 7, 1, "here")]
    assert await fetch(server, group_id="alone") == [("t", 0, 3, -1, "")]
    came_back = Member(server, "s2", "h")
    assert by_topic((await came_back.join("t", instance_id="i")).partitions) == {"t": [0, 1, 2, 3]}
