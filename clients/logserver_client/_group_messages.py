"""Group messages as descriptions."""

from collections.abc import Iterable, Sequence

from logserverpb.v1 import groups_pb2

from logserver_client._transport.status import error_from_message
from logserver_client.descriptions import Group, GroupMember, GroupOffset, GroupSummary, ResetOffset
from logserver_client.errors import LogServerError, error_for
from logserver_client.types import Subscription, TopicPartition


def group_summary(message: groups_pb2.GroupSummary) -> GroupSummary:
    return GroupSummary(message.group_id, message.type, message.state, message.members)


def group(message: groups_pb2.DescribeGroupResponse) -> Group:
    return Group(
        group_id=message.group_id,
        type=message.type,
        state=message.state,
        group_epoch=message.group_epoch,
        assignment_epoch=message.assignment_epoch,
        assignor=message.assignor,
        members=tuple(_member(member) for member in message.members),
        offsets=tuple(_offset(offset) for offset in message.offsets),
    )


def reset_offset(message: groups_pb2.ResetOffset) -> ResetOffset:
    return ResetOffset(
        topic=message.topic,
        partition=message.partition,
        previous_offset=message.previous_offset if message.HasField("previous_offset") else None,
        offset=message.offset,
        clamped=message.clamped,
        error=error_from_message(message.error) if message.HasField("error") else None,
    )


def result_errors(results: Iterable[groups_pb2.OffsetCommitResult]) -> dict[TopicPartition, LogServerError]:
    """Returns the errors among the results of a change, by partition."""
    return {
        TopicPartition(result.topic, result.partition): error_from_message(result.error)
        for result in results
        if result.HasField("error")
    }


def raise_first(errors: dict[TopicPartition, LogServerError]) -> None:
    """Raises the first error, with a message that names all partitions that have one; nothing if there is none."""
    if errors:
        first = next(iter(errors.values()))
        message = "; ".join(f"{tp}: {error.message}" for tp, error in errors.items())
        raise error_for(first.code, first.name, message, first.retriable)


def _member(message: groups_pb2.GroupMember) -> GroupMember:
    subscription = message.subscription
    return GroupMember(
        member_id=message.member_id,
        instance_id=message.instance_id if message.HasField("instance_id") else None,
        client_id=message.client_id,
        client_host=message.client_host,
        member_epoch=message.member_epoch,
        state=message.state,
        subscription=Subscription(
            tuple(subscription.topics), subscription.pattern if subscription.HasField("pattern") else None
        ),
        assigned=_partitions(message.assigned),
        target=_partitions(message.target),
        session_left_ms=message.session_left_ms,
    )


def _offset(message: groups_pb2.GroupOffset) -> GroupOffset:
    is_committed = message.HasField("committed_offset")
    return GroupOffset(
        topic=message.topic,
        partition=message.partition,
        committed_offset=message.committed_offset if is_committed else None,
        leader_epoch=message.leader_epoch if is_committed and message.leader_epoch >= 0 else None,
        metadata=message.metadata,
        commit_timestamp_ms=message.commit_timestamp_ms if is_committed else None,
        log_start_offset=message.log_start_offset,
        high_watermark=message.high_watermark,
        lag=message.lag if message.HasField("lag") else None,
        member_id=message.member_id or None,
        error=error_from_message(message.error) if message.HasField("error") else None,
    )


def _partitions(topics: Sequence[groups_pb2.TopicPartitions]) -> tuple[TopicPartition, ...]:
    return tuple(TopicPartition(topic.topic, partition) for topic in topics for partition in topic.partitions)
