"""The `Groups` service."""

from collections.abc import Iterable

from logserverpb.v1 import groups_pb2

from logserver.broker import Broker
from logserver.broker.peers import Peers
from logserver.coordinator import (
    Commit,
    GroupCoordinator,
    MemberDescription,
    OffsetDescription,
    Place,
    Reset,
)
from logserver.coordinator.reset import (
    Target,
    by_shift,
    reset_offsets,
    to_earliest,
    to_latest,
    to_offset,
    to_timestamp,
)
from logserver.errors import ErrorCode, LogServerError
from logserver.grpc_api.calls import Calls
from logserver.grpc_api.convert import check_count
from logserver.grpc_api.errors import Context, answered, to_error
from logserver.grpc_api.membership import MembershipStream, Streams
from logserver.grpc_api.offsets import commit_results, committed_offset, offsets_to_commit, place_result

_NO_MEMBER = -1


class GroupsService:
    """Servicer of `logserver.v1.Groups`."""

    def __init__(self, broker: Broker, groups: GroupCoordinator, peers: Peers, calls: Calls) -> None:
        self._broker = broker
        self._groups = groups
        self._peers = peers
        self._calls = calls
        self._streams: Streams = {}

    @property
    def _most_partitions(self) -> int:
        return self._broker.settings.max_request_partition_size_limit

    @answered
    async def Membership(self, requests: object, context: Context) -> None:
        """Serves one member for as long as its stream is open."""
        with self._calls.track():
            await MembershipStream(self._groups, self._streams, self._most_partitions).run(context)

    @answered
    async def CommitOffsets(
        self, request: groups_pb2.CommitOffsetsRequest, context: Context
    ) -> groups_pb2.CommitOffsetsResponse:
        """Stores offsets."""
        check_count(len(request.offsets), self._most_partitions)
        is_member = request.HasField("member_id")
        offsets = offsets_to_commit(request.offsets)
        commit = Commit(
            request.group_id,
            request.member_id if is_member else "",
            request.member_epoch if is_member else _NO_MEMBER,
            offsets,
        )
        errors = await self._groups.commit(commit)
        return groups_pb2.CommitOffsetsResponse(results=commit_results(offsets, errors))

    @answered
    async def FetchOffsets(
        self, request: groups_pb2.FetchOffsetsRequest, context: Context
    ) -> groups_pb2.FetchOffsetsResponse:
        """Returns committed offsets."""
        check_count(len(request.partitions), self._most_partitions)
        places: list[Place] = [(item.topic, item.partition) for item in request.partitions]
        member = (request.member_id, request.member_epoch) if request.HasField("member_id") else None
        found = await self._groups.committed(request.group_id, places or None, member)
        return groups_pb2.FetchOffsetsResponse(
            offsets=(committed_offset(place, found.get(place)) for place in places or sorted(found))
        )

    @answered
    async def ListGroups(
        self, request: groups_pb2.ListGroupsRequest, context: Context
    ) -> groups_pb2.ListGroupsResponse:
        """Lists the groups."""
        states = {state.lower() for state in request.states}
        return groups_pb2.ListGroupsResponse(
            groups=(
                groups_pb2.GroupSummary(
                    group_id=group.group_id, type=group.type, state=group.state, members=group.members
                )
                for group in await self._groups.list_groups()
                if not states or group.state in states
            )
        )

    @answered
    async def DescribeGroup(
        self, request: groups_pb2.DescribeGroupRequest, context: Context
    ) -> groups_pb2.DescribeGroupResponse:
        """Describes a group: members, assignments, offsets, lag."""
        group = await self._groups.describe(request.group_id)
        offsets = [_position(found) async for found in self._groups.positions(group)]
        return groups_pb2.DescribeGroupResponse(
            group_id=group.summary.group_id,
            type=group.summary.type,
            state=group.summary.state,
            group_epoch=group.group_epoch,
            assignment_epoch=group.assignment_epoch,
            assignor=group.assignor,
            members=map(_member, group.members),
            offsets=offsets,
        )

    @answered
    async def ResetOffsets(
        self, request: groups_pb2.ResetOffsetsRequest, context: Context
    ) -> groups_pb2.ResetOffsetsResponse:
        """Moves the offsets of a group that is not running."""
        check_count(len(request.partitions), self._most_partitions)
        resets = await reset_offsets(
            self._groups,
            self._broker,
            self._peers,
            request.group_id,
            request.topic,
            request.partitions,
            self._target(request),
            validate_only=request.validate_only,
        )
        return groups_pb2.ResetOffsetsResponse(offsets=map(_reset, resets))

    def _target(self, request: groups_pb2.ResetOffsetsRequest) -> Target:
        if request.WhichOneof("to") == "shift_by":
            return by_shift(request.shift_by)
        match request.position.WhichOneof("at"):
            case "offset":
                if request.position.offset < 0:
                    raise LogServerError(
                        ErrorCode.invalid_request, f"the offset {request.position.offset} is negative; it is at least 0"
                    )
                return to_offset(request.position.offset)
            case "timestamp":
                return to_timestamp(self._peers, request.position.timestamp)
            case "earliest":
                return to_earliest()
            case "latest":
                return to_latest()
        raise LogServerError(
            ErrorCode.invalid_request, "say where to: position (offset, timestamp, earliest or latest) or shift_by"
        )

    @answered
    async def DeleteOffsets(
        self, request: groups_pb2.DeleteOffsetsRequest, context: Context
    ) -> groups_pb2.DeleteOffsetsResponse:
        """Forgets committed offsets."""
        check_count(len(request.partitions), self._most_partitions)
        places: list[Place] = [(item.topic, item.partition) for item in request.partitions]
        errors = await self._groups.delete_offsets(request.group_id, places)
        return groups_pb2.DeleteOffsetsResponse(results=map(place_result, places, errors))

    @answered
    async def DeleteGroup(
        self, request: groups_pb2.DeleteGroupRequest, context: Context
    ) -> groups_pb2.DeleteGroupResponse:
        """Forgets a group."""
        await self._groups.delete_group(request.group_id)
        return groups_pb2.DeleteGroupResponse()


def _member(found: MemberDescription) -> groups_pb2.GroupMember:
    member = found.member
    return groups_pb2.GroupMember(
        member_id=member.member_id,
        instance_id=member.instance_id,
        client_id=member.client_id,
        client_host=member.client_host,
        member_epoch=member.epoch,
        state=found.state,
        subscription=groups_pb2.Subscription(topics=member.topics, pattern=member.pattern),
        assigned=_by_topic(found.assigned),
        target=_by_topic(found.target),
        session_left_ms=found.session_left_ms,
    )


def _by_topic(places: Iterable[Place]) -> list[groups_pb2.TopicPartitions]:
    by_topic: dict[str, groups_pb2.TopicPartitions] = {}
    for topic, number in places:
        if topic not in by_topic:
            by_topic[topic] = groups_pb2.TopicPartitions(topic=topic)
        by_topic[topic].partitions.append(number)
    return list(by_topic.values())


def _position(found: OffsetDescription) -> groups_pb2.GroupOffset:
    committed = found.committed
    message = groups_pb2.GroupOffset(
        topic=found.place[0],
        partition=found.place[1],
        committed_offset=committed.offset if committed is not None else None,
        leader_epoch=committed.leader_epoch if committed is not None else -1,
        metadata=committed.metadata if committed is not None else "",
        commit_timestamp_ms=committed.commit_timestamp_ms if committed is not None else 0,
        log_start_offset=found.log_start_offset,
        high_watermark=found.high_watermark,
        lag=found.lag,
        member_id=found.owner,
    )
    if found.error is not None:
        message.error.CopyFrom(to_error(found.error))
    return message


def _reset(found: Reset) -> groups_pb2.ResetOffset:
    message = groups_pb2.ResetOffset(
        topic=found.place[0],
        partition=found.place[1],
        previous_offset=found.previous,
        offset=found.offset,
        clamped=found.clamped,
    )
    if found.error is not None:
        message.error.CopyFrom(to_error(found.error))
    return message
