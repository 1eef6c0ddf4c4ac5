"""Members of consumer groups over gRPC's Membership: assignments come as soon as there are any, beside other doors'."""

import asyncio
from collections import deque
from collections.abc import Iterable

from logserverpb.v1 import groups_pb2, log_pb2

from logserver.errors import ErrorCode
from logserver.simulation.clients.grpc import CallFailed, GrpcClient
from logserver.simulation.clients.kafka import Lost
from logserver.simulation.clients.member import SESSION_S, Owners
from logserver.simulation.clients.offsets import REFUSED, check_offset
from logserver.simulation.clients.streams import GrpcStream
from logserver.simulation.ledger import Commit, Place
from logserver.simulation.world import World

_BEAT_S = 0.4
_REBALANCE_MS = 10_000
_SERVICE = "/logserver.v1.Groups/"


class GrpcMember:
    """A member, one life after the other; a life goes over several streams."""

    def __init__(self, world: World, owners: Owners, name: str, group: str, topic: str, topic_ids: dict[str, str]):
        self._world = world
        self._ledger = world.ledger
        self._owners = owners
        self._name = name
        self._group = group
        self._topic = topic
        self._topic_id = topic_ids[topic]
        self._random = world.random(name)
        self._client = GrpcClient(world.node, self._random)
        self._member = ""
        self._lives = 0
        self._epoch = 0
        self._owned: set[Place] = set()
        self._positions: dict[Place, int] = {}
        self._stream: GrpcStream
        # Of the last assignment of this stream; 0: the server knows that it was carried out.
        self._carried_out = 0
        # When what has no answer yet was sent. An assignment answers a heartbeat, too, or nothing: it does not count.
        self._sent_s: deque[float] = deque()
        self._until_s = 0.0
        self._commits: dict[int, tuple[Place, Commit]] = {}
        self._count = 0

    async def run(self) -> None:
        """Is a member until the run is over."""
        while not self._world.is_over:
            if not self._member:
                self._lives += 1
                self._member = f"{self._name}.{self._lives}"
                self._epoch, self._owned, self._positions = 0, set(), {}
            stream = self._stream = GrpcStream(self._world.network, self._random, groups_pb2.MembershipResponse)
            self._commits.clear()
            try:
                await stream.open(self._client, f"{_SERVICE}Membership")
                try:
                    await self._live(stream)
                finally:
                    stream.cancel()
            except Lost:
                # It is a member still, and goes on over another stream.
                await self._world.pause(self._random, 0.5)
            except CallFailed as error:
                # Where the coordinator can't be reached it may be a member still.
                if not str(error).startswith("UNAVAILABLE"):
                    self._ledger.note(self._member, f"is no member any more: {error}", self._group)
                    self._lose_all()
                await self._world.pause(self._random, 0.5)

    def _lose_all(self) -> None:
        self._owners.keeps(self._group, self._member, set())
        self._epoch, self._owned, self._positions = 0, set(), {}

    async def _live(self, stream: GrpcStream) -> None:
        """Works over one stream, to the end of it or of this life."""
        self._join(stream)
        reading = asyncio.ensure_future(self._read(stream))
        try:
            while not reading.done():
                if self._world.is_over:
                    return
                await self._work(stream)
                chance = self._random.random()
                if chance < 0.02:
                    await self._leave(stream, reading)
                    return
                if chance < 0.04:
                    # Gone without a word.
                    self._ledger.note(self._member, "goes silently", self._group)
                    self._lose_all()
                    self._member = ""
                    stream.cancel()
                    await self._world.pause(self._random, 5)
                    return
                await asyncio.wait((reading,), timeout=self._random.uniform(0, _BEAT_S))
                if not reading.done():
                    self._beat(stream)
            # How the stream has ended.
            reading.result()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _mine(self) -> list[groups_pb2.TopicPartitions]:
        numbers = sorted(number for _, number in self._owned)
        return [groups_pb2.TopicPartitions(topic_id=self._topic_id, partitions=numbers)] if numbers else []

    def _join(self, stream: GrpcStream) -> None:
        self._sent_s.clear()
        self._carried_out = 0
        self._until_s = self._ledger.now() + SESSION_S if not self._epoch else self._until_s
        join = groups_pb2.Join(
            group_id=self._group,
            member_id=self._member,
            member_epoch=self._epoch,
            rebalance_timeout_ms=_REBALANCE_MS,
            subscription=groups_pb2.Subscription(topics=[self._topic]),
            owned=self._mine(),
        )
        # What it says to own no more somebody else may get from here on.
        self._owners.keeps(self._group, self._member, self._owned)
        stream.send(groups_pb2.MembershipRequest(join=join))

    def _beat(self, stream: GrpcStream) -> None:
        beat = groups_pb2.Heartbeat(carried_out=self._carried_out)
        if self._carried_out:
            beat.owned.extend(self._mine())
            self._carried_out = 0
        self._owners.keeps(self._group, self._member, self._owned)
        self._sent_s.append(self._ledger.now())
        stream.send(groups_pb2.MembershipRequest(heartbeat=beat))

    async def _leave(self, stream: GrpcStream, reading: "asyncio.Task[None]") -> None:
        member, self._member = self._member, ""
        self._ledger.note(member, "leaves", self._group)
        self._owners.keeps(self._group, member, set())
        stream.send(groups_pb2.MembershipRequest(leave=groups_pb2.Leave()))
        await asyncio.wait((reading,))

    # What comes

    async def _read(self, stream: GrpcStream) -> None:
        while (answer := await stream.receive()) is not None:
            match answer.WhichOneof("event"):
                case "assignment":
                    self._assigned(answer.assignment)
                case "alive":
                    self._until_s = self._sent_s.popleft() + SESSION_S
                    self._owns()
                case "commit":
                    self._committed(answer.commit)
                case "left":
                    return

    def _owns(self) -> None:
        if self._member:
            self._owners.owns(self._group, self._member, self._owned, self._until_s)

    def _assigned(self, assignment: groups_pb2.Assignment) -> None:
        self._epoch, self._carried_out = assignment.member_epoch, assignment.sequence
        owned = {(self._topic, number) for topic in assignment.partitions for number in topic.partitions}
        if owned != self._owned:
            self._ledger.note(self._member, f"has {sorted(owned)} in epoch {self._epoch}", self._group)
        for place in self._owned - owned:
            self._positions.pop(place, None)
        self._owned = owned
        self._owns()

    def _committed(self, result: groups_pb2.MemberCommitResult) -> None:
        place, commit = self._commits.pop(result.correlation_id)
        error = result.error if result.HasField("error") else result.results[0].error
        code = ErrorCode(error.code)
        if code is ErrorCode.none:
            commit.acked_s, commit.acked_at = self._ledger.now(), self._ledger.promised("offset")
            self._ledger.note(self._member, f"has committed {commit.offset} of {place}", self._group)
        elif code in REFUSED:
            commit.was_refused = True

    # Work

    async def _work(self, stream: GrpcStream) -> None:
        """Goes on a little in what it owns, and commits that, several partitions at a time."""
        for place in self._mine_now():
            if place not in self._positions:
                offset = await self._fetch(place)
                if place in self._owned:
                    self._positions[place] = max(offset, 0)
            elif self._random.random() < 0.4:
                self._positions[place] += self._random.randint(1, 5)
                self._commit(stream, place)

    def _mine_now(self) -> Iterable[Place]:
        return sorted(self._owned)

    async def _fetch(self, place: Place) -> int:
        began_s = self._ledger.now()
        asked = groups_pb2.FetchOffsetsRequest(
            group_id=self._group, partitions=[log_pb2.TopicPartition(topic=place[0], partition=place[1])]
        )
        answer = await self._client.call(f"{_SERVICE}FetchOffsets", asked, groups_pb2.FetchOffsetsResponse)
        offset = int(answer.offsets[0].offset)
        check_offset(
            self._ledger, self._group, place, offset, lambda one: one.acked_s is not None and one.acked_s <= began_s
        )
        return offset

    def _commit(self, stream: GrpcStream, place: Place) -> None:
        commit = Commit(self._positions[place], self._ledger.now())
        self._ledger.commits.setdefault((self._group, place), []).append(commit)
        self._ledger.note(self._member, f"commits {commit.offset} of {place}", self._group)
        self._count += 1
        self._commits[self._count] = place, commit
        one = groups_pb2.OffsetCommit(topic=place[0], partition=place[1], offset=commit.offset)
        message = groups_pb2.MemberCommit(correlation_id=self._count, member_epoch=self._epoch, offsets=[one])
        stream.send(groups_pb2.MembershipRequest(commit=message))
