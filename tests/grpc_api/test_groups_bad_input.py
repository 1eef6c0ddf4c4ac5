"""What members may send that makes no sense: clear errors, and others are not affected."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from logserverpb.v1 import groups_pb2

from logserver.errors import ErrorCode

from .members import FAST, Member, by_topic, groups_stub, offset, streams, watchers
from .servers import Server, refused, soon

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
async def server(tmp_path: Path, request: pytest.FixtureRequest, storage: str) -> AsyncIterator[Server]:
    """A server whose groups are assigned without delay."""
    settings = {**FAST, **getattr(request, "param", {})}
    server = await Server(tmp_path / "data", settings, awaiting=storage == "awaiting").start()
    yield server
    await server.stop()


Case = tuple[dict[str, Any], ErrorCode, str]

LONG = "x" * 1_001
BAD_JOINS: dict[str, Case] = {
    "no group id": ({"group_id": ""}, ErrorCode.invalid_group_id, "the group id is empty"),
    "a long group id": ({"group_id": LONG}, ErrorCode.invalid_group_id, "has 1001 bytes, 1000 are allowed"),
    "a group id of many bytes": ({"group_id": "\N{SNOWMAN}" * 334}, ErrorCode.invalid_group_id, "has 1002 bytes"),
    "no member id": ({"member_id": ""}, ErrorCode.invalid_request, "the member id is empty"),
    "a long member id": ({"member_id": LONG}, ErrorCode.invalid_request, "the member id"),
    "no instance id": ({"instance_id": ""}, ErrorCode.invalid_request, "the instance id is empty"),
    "a long instance id": ({"instance_id": LONG}, ErrorCode.invalid_request, "the instance id"),
    "a long rack id": ({"rack_id": LONG}, ErrorCode.invalid_request, "the rack id"),
    "an unknown assignor": ({"assignor": "best"}, ErrorCode.unsupported_assignor, "only uniform, range"),
    "no assignor": ({"assignor": ""}, ErrorCode.unsupported_assignor, "''"),
    "no subscription": ({"subscription": None}, ErrorCode.invalid_request, "at least one topic, or by a pattern"),
    "an empty pattern": ({"subscription": {"pattern": ""}}, ErrorCode.invalid_request, "at least one topic"),
    "a bad pattern": ({"subscription": {"pattern": "("}}, ErrorCode.invalid_regular_expression, "missing"),
    "a look-ahead": ({"subscription": {"pattern": "(?=x)"}}, ErrorCode.invalid_regular_expression, "RE2"),
    "a long pattern": ({"subscription": {"pattern": LONG}}, ErrorCode.invalid_regular_expression, "1001 characters"),
    "a huge pattern": ({"subscription": {"pattern": "(\\pL{1000})"}}, ErrorCode.invalid_regular_expression, "KiB"),
    "no rebalance timeout": ({"rebalance_timeout_ms": 0}, ErrorCode.invalid_request, "the rebalance timeout is 1 to"),
    "a negative one": ({"rebalance_timeout_ms": -5}, ErrorCode.invalid_request, "not -5"),
    "a negative epoch": ({"member_epoch": -1}, ErrorCode.invalid_request, "member_epoch -1 can't join"),
    "the epoch of those away": ({"member_epoch": -2, "instance_id": "i"}, ErrorCode.invalid_request, "can't join"),
    "partitions at first": ({"owned": [("t", [0])]}, ErrorCode.invalid_request, "owns nothing yet"),
    "an epoch of nobody": ({"member_epoch": 3}, ErrorCode.unknown_member_id, "join again"),
    "too many partitions": ({"owned": [("t", range(10_001))]}, ErrorCode.invalid_request, "limit=10000"),
}


def join_of(group_id: str = "g", member_id: str = "m", **fields: Any) -> groups_pb2.Join:
    subscription = fields.pop("subscription", {"topics": ["t"]})
    owned = [groups_pb2.TopicPartitions(topic=topic, partitions=numbers) for topic, numbers in fields.pop("owned", ())]
    return groups_pb2.Join(
        group_id=group_id,
        member_id=member_id,
        rebalance_timeout_ms=fields.pop("rebalance_timeout_ms", 60_000),
        subscription=groups_pb2.Subscription(**subscription) if subscription is not None else None,
        owned=owned,
        **fields,
    )


@pytest.mark.parametrize("name", BAD_JOINS)
async def test_a_bad_join_ends_its_stream_with_a_clear_error(server: Server, name: str) -> None:
    fields, code, words = BAD_JOINS[name]
    await server.topic("t", 4)
    neighbour = Member(server, "neighbour")
    await neighbour.join("t")
    stranger = Member(server)
    status = INVALID if code is not ErrorCode.unknown_member_id else grpc.StatusCode.FAILED_PRECONDITION
    with refused(code, status, words):
        await stranger.send(join=join_of(**fields))
        await stranger.ended()
    # Nobody else has noticed.
    assert not (await neighbour.commit(offset(offset=1))).HasField("error")
    assert neighbour.seen == []
    await soon(lambda: (watchers(server), streams(server)) == (1, 1))
    (group,) = (await groups_stub(server).ListGroups(groups_pb2.ListGroupsRequest())).groups
    assert (group.group_id, group.members) == ("g", 1)


COMMANDS: dict[str, tuple[dict[str, Any], str]] = {
    "a heartbeat": ({"heartbeat": groups_pb2.Heartbeat()}, "has to be join"),
    "a commit": ({"commit": groups_pb2.MemberCommit()}, "has to be join"),
    "leaving": ({"leave": groups_pb2.Leave()}, "has to be join"),
    "nothing": ({}, "has to be join"),
}


@pytest.mark.parametrize("name", COMMANDS)
async def test_the_first_command_is_join(server: Server, name: str) -> None:
    command, words = COMMANDS[name]
    member = Member(server)
    with refused(ErrorCode.invalid_request, INVALID, words):
        await member.send(**command)
        await member.ended()
    assert not streams(server)


LATER: dict[str, tuple[dict[str, Any], ErrorCode, str]] = {
    "another join": ({"join": join_of()}, ErrorCode.invalid_request, "one join"),
    "nothing": ({}, ErrorCode.invalid_request, "the command is empty"),
    "an empty subscription": (
        {"heartbeat": groups_pb2.Heartbeat(subscription=groups_pb2.Subscription())},
        ErrorCode.invalid_request,
        "at least one topic",
    ),
    "a bad pattern": (
        {"heartbeat": groups_pb2.Heartbeat(subscription=groups_pb2.Subscription(pattern="["))},
        ErrorCode.invalid_regular_expression,
        "missing",
    ),
    "too many partitions": (
        {"heartbeat": groups_pb2.Heartbeat(owned=[groups_pb2.TopicPartitions(partitions=range(10_001))])},
        ErrorCode.invalid_request,
        "limit=10000",
    ),
    "too many offsets": (
        {"commit": groups_pb2.MemberCommit(offsets=[offset()] * 10_001)},
        ErrorCode.invalid_request,
        "limit=10000",
    ),
}


@pytest.mark.parametrize("name", LATER)
async def test_a_bad_command_ends_the_stream_and_not_the_membership(server: Server, name: str) -> None:
    command, code, words = LATER[name]
    await server.topic("t", 4)
    member = Member(server)
    assignment = await member.join("t")
    with refused(code, INVALID, words):
        await member.send(**command)
        await member.ended()
    again = Member(server)
    back = await again.join("t", member_epoch=assignment.member_epoch, owned={"t": [0, 1, 2, 3]})
    assert by_topic(back.partitions) == {"t": [0, 1, 2, 3]}


async def test_bytes_that_are_no_message(server: Server) -> None:
    call = server.channel.stream_stream("/logserver.v1.Groups/Membership")()
    with refused(ErrorCode.invalid_request, INVALID, "is not a logserver.v1.MembershipRequest"):
        await call.write(b"\xff\xff\xff")
        await call.read()
    assert not streams(server)


@pytest.mark.parametrize("odd", ["\0", "\n'\"\\%s{}", "\N{PILE OF POO}", "a/b/../c", "x" * 1_000, " "])
async def test_odd_ids_are_served_as_they_are(server: Server, odd: str) -> None:
    await server.topic("t", 4)
    member = Member(server, odd, odd)
    assert by_topic((await member.join("t", instance_id=odd, client_id=odd)).partitions)
    assert not (await member.commit(offset(offset=1, metadata=odd))).HasField("error")
    with refused(ErrorCode.non_empty_group, grpc.StatusCode.FAILED_PRECONDITION, "has members"):
        await groups_stub(server).DeleteGroup(groups_pb2.DeleteGroupRequest(group_id=odd))
    found = await groups_stub(server).DescribeGroup(groups_pb2.DescribeGroupRequest(group_id=odd))
    assert found.members[0].instance_id == odd
    await member.leave()


async def test_what_a_member_claims_to_own_is_believed_only_where_it_gives_up(server: Server) -> None:
    await server.topic("t", 4)
    member = Member(server)
    assignment = await member.join("t")
    for owned in ({"t": [0, 1, 2, 3, 99]}, {"nowhere": [0]}, {"t": [-1]}, {"": [0]}, {}):
        await member.heartbeat(assignment.sequence, owned)
        await member.alive()
    found = await groups_stub(server).DescribeGroup(groups_pb2.DescribeGroupRequest(group_id="g"))
    assert by_topic(found.members[0].assigned) == {"t": [0, 1, 2, 3]}


async def test_a_member_that_was_given_up_can_change_nothing(server: Server) -> None:
    await server.topic("t", 4)
    slow, other = Member(server, "slow"), Member(server, "other")
    epoch = (await slow.join("t", rebalance_timeout_ms=1)).member_epoch
    await other.join("t")
    await other.settle(4)
    with refused(ErrorCode.unknown_member_id, grpc.StatusCode.FAILED_PRECONDITION, "did not give up"):
        await slow.ended()
    stub = groups_stub(server)
    with refused(ErrorCode.unknown_member_id, grpc.StatusCode.FAILED_PRECONDITION, "others will read again"):
        await stub.CommitOffsets(
            groups_pb2.CommitOffsetsRequest(
                group_id="g", member_id="slow", member_epoch=epoch, offsets=[offset(offset=99)]
            )
        )
    back = Member(server, "slow")
    with refused(ErrorCode.unknown_member_id, grpc.StatusCode.FAILED_PRECONDITION, "join again"):
        await back.send_join("t", member_epoch=epoch, owned={"t": [0, 1, 2, 3]})
        await back.ended()
    assert not (await stub.FetchOffsets(groups_pb2.FetchOffsetsRequest(group_id="g"))).offsets


@pytest.mark.parametrize("server", [{"group.consumer.max.size": "2"}], indirect=True)
async def test_a_group_that_is_full(server: Server) -> None:
    await server.topic("t", 4)
    members = [Member(server, f"m{number}") for number in range(2)]
    for member in members:
        await member.join("t")
    third = Member(server, "third")
    with refused(ErrorCode.group_max_size_reached, grpc.StatusCode.RESOURCE_EXHAUSTED, "group.consumer.max.size=2"):
        await third.send_join("t")
        await third.ended()
    await members[0].leave()
    await Member(server, "fourth").join("t")
