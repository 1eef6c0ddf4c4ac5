"""One member's stream: heartbeats come in, assignments go out as soon as there are any."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from grpc.aio import EOF
from logserverpb.v1 import groups_pb2

from logserver.coordinator import (
    AWAY,
    LEAVING,
    Commit,
    GroupCoordinator,
    Heartbeat,
    HeartbeatAnswer,
    Subscription,
    TopicPartition,
)
from logserver.errors import ErrorCode, LogServerError
from logserver.grpc_api.errors import Context, to_error
from logserver.grpc_api.offsets import commit_results, offsets_to_commit

_COMMITS_UNDER_WAY: Final = 32
"""On one stream; the server reads no further then."""

_MOST_CLIENT_ID: Final = 200
"""Characters that are kept of one."""

Streams: TypeAlias = "dict[tuple[str, str], MembershipStream]"
"""The stream of each member, by group id and member id."""


class MembershipStream:
    """Serves `Groups.Membership` for one member.

    What changes the member's assignment, its own heartbeat or somebody else's, is done one after another, so the
    assignments go out in the order in which they were decided.

    Args:
        streams: of all members; the newest stream of a member ends the one before.
        most_partitions: that a command may name.
    """

    def __init__(self, groups: GroupCoordinator, streams: Streams, most_partitions: int) -> None:
        self._groups = groups
        self._streams = streams
        self._most_partitions = most_partitions
        self._group_id = ""
        self._member_id = ""
        self._instance_id: str | None = None
        self._epoch = 0
        self._sequence = 0
        self._assigned: Sequence[TopicPartition] = ()
        self._changed = asyncio.Event()
        self._deciding = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._commits: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(_COMMITS_UNDER_WAY)
        self._unwatch: Callable[[], None] | None = None
        # Gets the error that ends the stream from outside of reading and pushing.
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, context: Context) -> None:
        """Serves the stream to its end.

        Raises:
            LogServerError: the member can't be one (any more), or a command makes no sense.
        """
        reading = asyncio.ensure_future(self._read(context))
        pushing = asyncio.ensure_future(self._push(context))
        try:
            await asyncio.wait((reading, pushing, self._failed), return_when=asyncio.FIRST_COMPLETED)
            # Reading goes first: after the end of a membership there is nothing to push any more.
            await next(side for side in (reading, self._failed, pushing) if side.done())
        finally:
            tasks = (reading, pushing, *self._commits)
            for task in tasks:
                task.cancel()
            try:
                # That the client has gone may be told here, too.
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:
                self._forget()

    def _fail(self, error: BaseException) -> None:
        if not self._failed.done():
            self._failed.set_exception(error)

    def _register(self) -> None:
        """Makes this the member's stream."""
        key = (self._group_id, self._member_id)
        before = self._streams.get(key)
        if before is not None:
            before._fail(
                LogServerError(
                    ErrorCode.fenced_member_epoch,
                    f"the member {self._member_id!r} has opened another stream, which counts from here on",
                )
            )
        self._streams[key] = self
        self._unwatch = self._groups.watch(*key, self._changed.set)

    def _forget(self) -> None:
        if self._unwatch is not None:
            self._unwatch()
        key = (self._group_id, self._member_id)
        if self._streams.get(key) is self:
            del self._streams[key]
        if self._failed.done():
            # Somebody may have failed it after its end.
            self._failed.exception()

    async def _join(self, join: groups_pb2.Join, context: Context) -> None:
        self._check_count(join.owned)
        self._group_id, self._member_id = join.group_id, join.member_id
        self._instance_id = join.instance_id if join.HasField("instance_id") else None
        if join.member_epoch < 0:
            raise _invalid(f"member_epoch {join.member_epoch} can't join; it is 0, or the epoch of the last assignment")
        request = Heartbeat(
            group_id=join.group_id,
            member_id=join.member_id,
            member_epoch=join.member_epoch,
            instance_id=self._instance_id,
            rack_id=join.rack_id if join.HasField("rack_id") else None,
            rebalance_timeout_ms=join.rebalance_timeout_ms,
            subscription=_subscription(join.subscription),
            assignor=join.assignor if join.HasField("assignor") else None,
            owned=self._owned(join.owned),
            client_id=join.client_id[:_MOST_CLIENT_ID],
            client_host=_host(context),
        )
        async with self._deciding:
            answer = await self._groups.heartbeat(request)
            self._register()
            # Besides the answer, what has happened since.
            self._changed.set()
            await self._tell(context, answer)

    async def _read(self, context: Context) -> None:
        first = await context.read()
        if first is EOF:
            return
        if first.WhichOneof("command") != "join":
            raise _invalid("the first command of a membership has to be join")
        await self._join(first.join, context)
        while True:
            command = await context.read()
            if command is EOF:
                await asyncio.gather(*self._commits)
                return
            kind = command.WhichOneof("command")
            if kind == "heartbeat":
                await self._heartbeat(command.heartbeat, context)
            elif kind == "commit":
                self._check_count(command.commit.offsets)
                await self._room.acquire()
                task = asyncio.ensure_future(self._commit(command.commit, context))
                self._commits.add(task)
                task.add_done_callback(self._committed)
            elif kind == "leave":
                # What has been committed before counts before.
                await asyncio.gather(*self._commits)
                await self._leave(command.leave, context)
                return
            elif kind == "join":
                raise _invalid("a membership has one join, its first command; open another stream to join again")
            else:
                raise _invalid("the command is empty; give heartbeat, commit or leave")

    async def _heartbeat(self, message: groups_pb2.Heartbeat, context: Context) -> None:
        self._check_count(message.owned)
        subscription = _subscription(message.subscription) if message.HasField("subscription") else None
        async with self._deciding:
            # What the member owned before it knew of the last assignment says nothing about that.
            counts = message.carried_out != 0 and message.carried_out == self._sequence
            answer = await self._groups.heartbeat(
                Heartbeat(
                    group_id=self._group_id,
                    member_id=self._member_id,
                    member_epoch=self._epoch,
                    instance_id=self._instance_id,
                    subscription=subscription,
                    owned=self._owned(message.owned) if counts else None,
                )
            )
            if answer.assigned is None and answer.member_epoch == self._epoch:
                await self._send(context, groups_pb2.MembershipResponse(alive=groups_pb2.Alive()))
            else:
                await self._tell(context, answer)

    async def _push(self, context: Context) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            async with self._deciding:
                answer = await self._groups.look_again(self._group_id, self._member_id)
                if answer is not None:
                    await self._tell(context, answer)

    async def _tell(self, context: Context, answer: HeartbeatAnswer) -> None:
        """Sends an assignment; one without news of partitions carries the epoch."""
        self._epoch = answer.member_epoch
        if answer.assigned is not None:
            self._assigned = sorted(answer.assigned)
        self._sequence += 1
        message = groups_pb2.Assignment(
            sequence=self._sequence,
            member_id=self._member_id,
            member_epoch=answer.member_epoch,
            heartbeat_interval_ms=self._groups.limits.heartbeat_interval_of(self._group_id),
            session_timeout_ms=self._groups.limits.session_timeout_of(self._group_id),
        )
        by_topic: dict[str, groups_pb2.TopicPartitions] = {}
        for topic_id, number in self._assigned:
            entry = by_topic.get(topic_id)
            if entry is None:
                topic = self._groups.topics.by_id(topic_id)
                if topic is None:
                    # It has just been deleted; the next assignment says so.
                    continue
                entry = by_topic[topic_id] = message.partitions.add(topic=topic.name, topic_id=topic_id)
            entry.partitions.append(number)
        await self._send(context, groups_pb2.MembershipResponse(assignment=message))

    async def _commit(self, message: groups_pb2.MemberCommit, context: Context) -> None:
        try:
            result = groups_pb2.MemberCommitResult(correlation_id=message.correlation_id)
            commit = Commit(
                self._group_id,
                self._member_id,
                message.member_epoch,
                offsets_to_commit(message.offsets),
                self._instance_id,
            )
            try:
                errors = await self._groups.commit(commit)
            except LogServerError as error:
                result.error.CopyFrom(to_error(error))
            else:
                result.results.extend(commit_results(commit.offsets, errors))
            await self._send(context, groups_pb2.MembershipResponse(commit=result))
        finally:
            self._room.release()

    def _committed(self, task: asyncio.Task[None]) -> None:
        self._commits.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    async def _leave(self, message: groups_pb2.Leave, context: Context) -> None:
        if message.will_return and self._instance_id is None:
            raise _invalid("only a static member, which has an instance_id, can leave to come back")
        async with self._deciding:
            await self._groups.heartbeat(
                Heartbeat(
                    group_id=self._group_id,
                    member_id=self._member_id,
                    member_epoch=AWAY if message.will_return else LEAVING,
                    instance_id=self._instance_id,
                )
            )
            await self._send(context, groups_pb2.MembershipResponse(left=groups_pb2.Left()))

    async def _send(self, context: Context, message: groups_pb2.MembershipResponse) -> None:
        async with self._writing:
            await context.write(message)

    def _owned(self, topics: Iterable[groups_pb2.TopicPartitions]) -> frozenset[TopicPartition]:
        owned: set[TopicPartition] = set()
        for entry in topics:
            topic = self._groups.topics.by_name(entry.topic) if not entry.topic_id else None
            topic_id = topic.topic_id if topic is not None else entry.topic_id
            owned.update((topic_id, number) for number in entry.partitions)
        return frozenset(owned)

    def _check_count(self, items: Iterable[groups_pb2.TopicPartitions] | Iterable[groups_pb2.OffsetCommit]) -> None:
        count = sum(len(item.partitions) if isinstance(item, groups_pb2.TopicPartitions) else 1 for item in items)
        if count > self._most_partitions:
            raise _invalid(
                f"the command names {count} partitions, allowed are "
                f"max.request.partition.size.limit={self._most_partitions}"
            )


def _subscription(message: groups_pb2.Subscription) -> Subscription:
    if not message.topics and not message.pattern:
        # Only Kafka's clients are members also while they subscribe to nothing.
        raise _invalid("a member subscribes to at least one topic, or by a pattern")
    return Subscription(tuple(message.topics), message.pattern if message.HasField("pattern") else None)


def _host(context: Context) -> str:
    """Returns the client's address as Kafka shows it: with a slash before it."""
    peer = str(context.peer())
    address = peer.split(":", 1)[1].rpartition(":")[0] if ":" in peer else peer
    return f"/{address.removeprefix('%5B').removesuffix('%5D')}"


def _invalid(message: str) -> LogServerError:
    return LogServerError(ErrorCode.invalid_request, message)
