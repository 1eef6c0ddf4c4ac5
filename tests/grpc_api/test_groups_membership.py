"""The Membership stream: assignments, revocations, commits, leaving, and what ends a stream."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from logserverpb.v1 import groups_pb2

from logserver.errors import ErrorCode
from logserver.grpc_api.errors import Context
from logserver.grpc_api.membership import MembershipStream

from .members import (
    FAST,
    Member,
    by_topic,
    groups_of,
    groups_stub,
    membership_tasks,
    offset,
    streams,
    streams_of,
    watchers,
)
from .servers import Server, check_error, refused, soon

FENCED = grpc.StatusCode.FAILED_PRECONDITION
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
async def server(tmp_path: Path, request: pytest.FixtureRequest, storage: str) -> AsyncIterator[Server]:
    """A server whose groups are assigned without delay."""
    settings = {**FAST, **getattr(request, "param", {})}
    server = await Server(tmp_path / "data", settings, awaiting=storage == "awaiting").start()
    yield server
    await server.stop()


async def gone(server: Server) -> None:
    """Waits until nothing is left of any membership's stream."""
    await soon(lambda: not watchers(server) and not streams(server) and not membership_tasks())


async def test_a_member_alone_gets_everything(server: Server) -> None:
    topic = await server.topic("t", 4)
    member = Member(server)
    assignment = await member.join("t")
    assert by_topic(assignment.partitions) == {"t": [0, 1, 2, 3]}
    assert assignment.partitions[0].topic_id == topic.topic_id
    assert (assignment.sequence, assignment.member_id, assignment.member_epoch) == (1, "m", 1)
    assert (assignment.heartbeat_interval_ms, assignment.session_timeout_ms) == (5_000, 45_000)
    await member.carry_out(assignment)
    await member.alive()
    await member.leave()
    await gone(server)


async def test_partitions_are_given_up_before_others_get_them_without_waiting_for_heartbeats(server: Server) -> None:
    await server.topic("t", 4)
    first, second = Member(server, "a"), Member(server, "b")
    await first.carry_out(await first.join("t"))
    await first.alive()
    assert by_topic((await second.join("t")).partitions) == {}
    # Pushed: the first one has sent nothing since it joined.
    less = await first.assignment()
    assert len(by_topic(less.partitions)["t"]) == 2
    # That it is alive, and has carried out what came before, gives nothing away.
    for carried_out, owned in ((0, {}), (less.sequence - 1, {}), (less.sequence + 1, {})):
        await first.heartbeat(carried_out, owned)
        await first.alive()
    # That it still has them, neither.
    await first.heartbeat(less.sequence, {"t": [0, 1, 2, 3]})
    await first.alive()
    description = await groups_stub(server).DescribeGroup(groups_pb2.DescribeGroupRequest(group_id="g"))
    assert [member.state for member in description.members] == ["revoking", "waiting"]
    await first.carry_out(less)
    got = await second.assignment()
    assert sorted(by_topic(got.partitions)["t"] + by_topic(less.partitions)["t"]) == [0, 1, 2, 3]
    await second.carry_out(got)
    await second.alive()
    settled = await first.assignment()
    assert by_topic(settled.partitions) == by_topic(less.partitions)
    assert settled.member_epoch == got.member_epoch
    # One leaves: the other one is told.
    await second.leave()
    assert by_topic((await first.assignment()).partitions) == {"t": [0, 1, 2, 3]}


async def test_a_stream_that_broke_is_replaced_with_epoch_and_partitions(server: Server) -> None:
    await server.topic("t", 4)
    member = Member(server)
    assignment = await member.join("t")
    await member.carry_out(assignment)
    await member.alive()
    member.call.cancel()
    await gone(server)
    again = Member(server)
    back = await again.join("t", member_epoch=assignment.member_epoch, owned={"t": [0, 1, 2, 3]})
    assert (back.sequence, back.member_epoch) == (1, assignment.member_epoch)
    assert by_topic(back.partitions) == {"t": [0, 1, 2, 3]}
    with refused(ErrorCode.fenced_member_epoch, grpc.StatusCode.ABORTED, "ahead of its epoch", "join again"):
        other = Member(server)
        await other.send_join("t", member_epoch=99, owned={"t": [0]})
        await other.ended()
    # That one was refused, so the stream goes on.
    await again.heartbeat()
    await again.alive()


async def test_a_second_stream_of_a_member_ends_the_first(server: Server) -> None:
    await server.topic("t", 4)
    first = Member(server)
    epoch = (await first.join("t")).member_epoch
    second = Member(server)
    await second.join("t", member_epoch=epoch, owned={"t": [0, 1, 2, 3]})
    with refused(ErrorCode.fenced_member_epoch, grpc.StatusCode.ABORTED, "another stream"):
        await first.ended()
    await second.heartbeat()
    await second.alive()
    await soon(lambda: (watchers(server), streams(server)) == (1, 1))
    # It is told what comes.
    other = Member(server, "n")
    await other.join("t")
    assert len(by_topic((await second.assignment()).partitions)["t"]) == 2


async def test_a_subscription_may_change(server: Server) -> None:
    await server.topic("t", 2)
    await server.topic("u-1", 1)
    member = Member(server)
    await member.join("t")
    await member.heartbeat(subscription=groups_pb2.Subscription(pattern="u-.*"))
    less = await member.assignment()
    assert by_topic(less.partitions) == {}
    await member.carry_out(less)
    assert by_topic((await member.assignment()).partitions) == {"u-1": [0]}
    await server.topic("u-2", 2)
    assert by_topic((await member.assignment()).partitions) == {"u-1": [0], "u-2": [0, 1]}


@pytest.mark.parametrize(
    "server",
    [{"group.consumer.session.timeout.ms": "300", "group.consumer.heartbeat.interval.ms": "100"}],
    indirect=True,
)
async def test_silence_ends_the_membership_and_its_stream(server: Server) -> None:
    await server.topic("t", 4)
    member = Member(server)
    await member.join("t")
    with refused(ErrorCode.unknown_member_id, FENCED, "silent for longer", "join again"):
        await member.ended()
    await gone(server)


async def test_not_giving_up_partitions_ends_the_membership_and_its_stream(server: Server) -> None:
    await server.topic("t", 4)
    first, second = Member(server, "a"), Member(server, "b")
    await first.join("t", rebalance_timeout_ms=200)
    await second.join("t")
    with refused(ErrorCode.unknown_member_id, FENCED, "did not give up partitions in time"):
        await first.ended()
    assert await second.settle(4) == {"t": [0, 1, 2, 3]}


async def test_a_static_member_comes_back_under_another_id(server: Server) -> None:
    await server.topic("t", 4)
    member = Member(server, "m1")
    await member.join("t", instance_id="i")
    other = Member(server, "m2")
    with refused(ErrorCode.unreleased_instance_id, FENCED, "in use", "'m1'"):
        await other.send_join("t", instance_id="i")
        await other.ended()
    await member.leave(will_return=True)
    watching = Member(server, "w")
    assert by_topic((await watching.join("t")).partitions) == {}
    back = Member(server, "m2")
    assert by_topic((await back.join("t", instance_id="i")).partitions)
    with refused(ErrorCode.invalid_request, INVALID, "only a static member"):
        await watching.send(leave=groups_pb2.Leave(will_return=True))
        await watching.ended()


# Commits


async def test_commits_are_pipelined_and_answered_by_correlation_id(server: Server) -> None:
    await server.topic("t", 4)
    member = Member(server)
    await member.join("t")
    for number in range(200):
        await member.send_commit(offset(partition=number % 4, offset=number), correlation_id=1_000 + number)
    answers = {}
    while len(answers) < 200:
        answer = await member.next("commit")
        assert answer.correlation_id not in answers
        answers[answer.correlation_id] = answer
    assert set(answers) == set(range(1_000, 1_200))
    for number in range(200):
        (result,) = answers[1_000 + number].results
        assert (result.topic, result.partition, result.HasField("error")) == ("t", number % 4, False)
    found = await groups_stub(server).FetchOffsets(groups_pb2.FetchOffsetsRequest(group_id="g"))
    assert [(item.partition, item.offset) for item in found.offsets] == [(0, 196), (1, 197), (2, 198), (3, 199)]


async def test_a_commit_before_leaving_counts(server: Server) -> None:
    await server.topic("t", 4)
    member = Member(server)
    await member.join("t")
    for number in range(50):
        await member.send_commit(offset(offset=number, metadata=f"{number}"), correlation_id=number)
    await member.send(leave=groups_pb2.Leave())
    answers = []
    while (event := await member.read()).WhichOneof("event") == "commit":
        assert not event.commit.HasField("error")
        answers.append(event.commit.correlation_id)
    assert sorted(answers) == list(range(50)) and event.WhichOneof("event") == "left"
    await member.ended()
    (found,) = (await groups_stub(server).FetchOffsets(groups_pb2.FetchOffsetsRequest(group_id="g"))).offsets
    assert (found.offset, found.metadata) == (49, "49")


async def test_commits_before_the_client_ends_its_side_are_answered(server: Server) -> None:
    await server.topic("t", 4)
    member = Member(server)
    await member.join("t")
    for number in range(50):
        await member.send_commit(offset(offset=number), correlation_id=number)
    await member.call.done_writing()
    await member.ended()
    assert sorted(event.commit.correlation_id for event in member.seen) == list(range(50))
    # It is still a member.
    (found,) = (await groups_stub(server).ListGroups(groups_pb2.ListGroupsRequest())).groups
    assert found.members == 1
    await gone(server)


async def test_a_commit_that_is_refused_ends_nothing(server: Server) -> None:
    await server.topic("t", 4)
    member = Member(server)
    await member.join("t")
    answer = await member.commit(offset(offset=1), epoch=99, correlation_id=7)
    assert answer.correlation_id == 7 and not answer.results
    check_error(answer.error, ErrorCode.stale_member_epoch, "99")
    answer = await member.commit(offset(offset=1), offset("nowhere"), offset(partition=4), offset(offset=-1))
    assert not answer.HasField("error")
    fine, nowhere, beyond, negative = answer.results
    assert not fine.HasField("error")
    check_error(nowhere.error, ErrorCode.unknown_topic_or_partition, "'nowhere'")
    check_error(beyond.error, ErrorCode.unknown_topic_or_partition, "no partition 4")
    check_error(negative.error, ErrorCode.invalid_request, "-1")
    await member.heartbeat()
    await member.alive()


async def test_nothing_is_answered_before_it_is_durable(server: Server) -> None:
    await server.topic("t", 4)
    member = Member(server)
    await member.join("t")
    server.disk.held.clear()
    await member.send_commit(offset(offset=1), correlation_id=1)
    await member.heartbeat()
    reading = asyncio.ensure_future(member.call.read())
    asked = asyncio.ensure_future(
        groups_stub(server).FetchOffsets(groups_pb2.FetchOffsetsRequest(group_id="g", partitions=[]))
    )
    shard = groups_of(server).find_shard("g")
    await soon(lambda: shard._last_offset >= shard.partition.high_watermark and len(shard.partition._produces) >= 2)
    assert not reading.done() and not asked.done()
    server.disk.held.set()
    member.seen.append(await reading)
    assert [found.offset for found in (await asked).offsets] == [1]
    assert (await member.next("commit")).correlation_id == 1
    await member.alive()


async def test_what_a_member_says_of_an_older_assignment_counts_for_nothing(server: Server) -> None:
    await server.topic("t", 4)
    first, second = Member(server, "a"), Member(server, "b")
    await first.join("t")
    server.disk.held.clear()
    await second.send_join("t")
    shard = groups_of(server).find_shard("g")
    # What takes two partitions from the first one is decided, and not told yet.
    await soon(lambda: shard.machine.groups["g"].members["a"].revoking)
    await first.heartbeat(1, {"t": []})
    stream = next(stream for (_, member_id), stream in streams_of(server).items() if member_id == "a")
    await soon(lambda: stream._deciding._waiters)
    server.disk.held.set()
    less = await first.assignment()
    assert len(by_topic(less.partitions)["t"]) == 2
    await first.alive()
    assert by_topic((await second.assignment()).partitions) == {}
    found = await groups_stub(server).DescribeGroup(groups_pb2.DescribeGroupRequest(group_id="g"))
    assert [member.state for member in found.members] == ["revoking", "waiting"]


# Ends


async def test_a_server_that_stops_ends_streams_with_a_retriable_error(server: Server) -> None:
    await server.topic("t", 4)
    members = [Member(server, f"m{number}") for number in range(5)]
    for member in members:
        await member.join("t")
    stopping = asyncio.ensure_future(server.daemon.stop())
    for member in members:
        with refused(ErrorCode.not_leader_or_follower, UNAVAILABLE, "the server is stopping"):
            await member.ended()
    await stopping
    assert not membership_tasks()


async def test_a_shard_that_goes_ends_streams_with_a_retriable_error(server: Server) -> None:
    await server.topic("t", 4)
    member = Member(server)
    await member.join("t")
    partition = groups_of(server).find_shard("g").partition
    server.broker.resign(partition, "another node leads it")
    with refused(ErrorCode.not_coordinator, UNAVAILABLE, "another node leads it"):
        await member.ended()
    await gone(server)


async def test_a_shard_that_is_back_at_once_goes_on_telling(server: Server) -> None:
    await server.topic("t", 4)
    member, other = Member(server, "a"), Member(server, "b")
    await member.join("t")
    partition = groups_of(server).find_shard("g").partition
    server.broker.resign(partition, "for a moment")
    partition.lead(partition.leader_epoch + 1)
    await other.join("t")
    assert len(by_topic((await member.assignment()).partitions)["t"]) == 2


async def test_cancelling_leaves_nothing_behind(server: Server) -> None:
    await server.topic("t", 4)
    calls = []
    for number in range(20):
        member = Member(server, f"m{number}")
        calls.append(member.call)
        # At every stage: without a word, joining, joined, with commits under way.
        if number % 4:
            await member.send_join("t")
        if number % 4 > 1:
            await member.assignment()
        if number % 4 > 2:
            await member.send_commit(offset(offset=1))
    for call in calls:
        call.cancel()
    await gone(server)
    # What they were goes when their sessions do; others are not in the way.
    found = await groups_stub(server).ListGroups(groups_pb2.ListGroupsRequest())
    assert [group.group_id for group in found.groups] == ["g"]


class Client:
    """A client that joins, and ends its side of the call when it is told so."""

    def __init__(self) -> None:
        self.joined = asyncio.Event()
        self.has_gone = asyncio.Event()
        self._joins = True

    async def read(self) -> Any:
        if self._joins:
            self._joins = False
            subscription = groups_pb2.Subscription(topics=["t"])
            join = groups_pb2.Join(group_id="g", member_id="m", rebalance_timeout_ms=60_000, subscription=subscription)
            return groups_pb2.MembershipRequest(join=join)
        await self.has_gone.wait()
        return grpc.aio.EOF

    async def write(self, message: groups_pb2.MembershipResponse) -> None:
        self.joined.set()

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"


@pytest.mark.parametrize("turns", range(8))
async def test_a_call_that_is_cancelled_while_it_ends_leaves_nothing_behind(server: Server, turns: int) -> None:
    await server.topic("t", 4)
    client = Client()
    calling = asyncio.ensure_future(
        MembershipStream(groups_of(server), streams_of(server), 100).run(cast(Context, client))
    )
    await client.joined.wait()
    assert watchers(server) == streams(server) == 1
    client.has_gone.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    assert watchers(server) == streams(server) == membership_tasks() == 0


async def test_a_member_that_does_not_read_holds_nobody_up(server: Server) -> None:
    await server.topic("t", 4)
    deaf = Member(server, "deaf", channel=server.new_channel())
    await deaf.join("t")
    sent = 0

    async def talk() -> None:
        nonlocal sent
        while True:
            await deaf.send_commit(offset("x" * 200), offset("y" * 200), offset("z" * 200), correlation_id=sent)
            sent += 1

    talking = asyncio.ensure_future(talk())
    shard = groups_of(server).find_shard("g")
    stream = next(iter(streams_of(server).values()))
    # The server takes no more commands once that many answers wait for the client to take them.
    await soon(lambda: stream._room.locked() and stream._writing.locked())
    others = [Member(server, f"m{number}") for number in range(3)]
    for member in others:
        await member.join("t")
        assert not (await member.commit(offset(offset=5))).HasField("error")
    # One more may have made room and not have ended yet.
    assert len(stream._commits) <= 33
    # Another stream of it replaces it.
    again = Member(server, "deaf", channel=server.new_channel())
    await again.join("t", member_epoch=0)
    await soon(lambda: streams(server) == 4 and len(shard._watchers) == 4)
    talking.cancel()
    print(f"{sent} commits were sent before the server stopped reading")


async def test_a_member_that_does_not_read_does_not_hold_up_the_stop(server: Server) -> None:
    await server.topic("t", 4)
    deaf = Member(server, "deaf", channel=server.new_channel())
    await deaf.join("t")

    async def talk() -> None:
        while True:
            await deaf.send_commit(offset("x" * 200), offset("y" * 200), offset("z" * 200))

    talking = asyncio.ensure_future(talk())
    stream = next(iter(streams_of(server).values()))
    await soon(lambda: stream._room.locked() and stream._writing.locked())
    await server.daemon.stop()
    assert not server.daemon.is_stuck
    assert not membership_tasks()
    talking.cancel()
    await asyncio.gather(talking, return_exceptions=True)
