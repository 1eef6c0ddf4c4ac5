"""Committed offsets: which a group has, and who may commit.

Source: Apache Kafka: `OffsetMetadataManager`; KIP-320 (leader epochs), KIP-1251 (assignment epochs).
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from logserver.coordinator.assignors import TopicPartition
from logserver.coordinator.consumer_group import ConsumerGroup
from logserver.coordinator.decision import Decision, Entry
from logserver.coordinator.formats import NO_TIMESTAMP, OffsetCommitKey, OffsetCommitValue
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.member import Member
from logserver.coordinator.requests import Commit, OffsetToCommit
from logserver.coordinator.topics_view import TopicsView
from logserver.errors import ErrorCode, LogServerError, unknown_partition, unknown_topic

Place = tuple[str, int]
"""Topic name and partition number."""

MayCommit = Callable[[TopicPartition], None]
"""Raises what a partition's offset may not be committed for."""

_NOTHING: Final[Mapping[Place, OffsetCommitValue]] = {}
_INT32_MAX: Final = 2**31 - 1


class CommittedOffsets:
    """The committed offsets of all groups of a shard. Only `apply` changes it."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[Place, OffsetCommitValue]] = {}
        self.count = 0

    def apply(self, key: OffsetCommitKey, value: OffsetCommitValue | None) -> None:
        """Takes in a record."""
        place = (key.topic, key.partition)
        if value is None:
            offsets = self._groups.get(key.group)
            if offsets is not None and offsets.pop(place, None) is not None:
                self.count -= 1
                if not offsets:
                    del self._groups[key.group]
            return
        offsets = self._groups.setdefault(key.group, {})
        self.count += place not in offsets
        offsets[place] = value

    def groups(self) -> Collection[str]:
        """Returns the ids of groups that have offsets."""
        return self._groups.keys()

    def of(self, group_id: str) -> Mapping[Place, OffsetCommitValue]:
        """Returns the offsets of a group; empty if it has none."""
        return self._groups.get(group_id, _NOTHING)

    def removal(self, group_id: str, places: Iterable[Place]) -> Iterator[Entry]:
        """Yields the tombstones of offsets that a group has."""
        for topic, partition in places:
            yield Entry(OffsetCommitKey(group_id, topic, partition), None)


class Commits:
    """Decides on commits."""

    def __init__(self, limits: GroupLimits, topics: TopicsView) -> None:
        self._limits = limits
        self._topics = topics

    def commit(self, may_commit: MayCommit, request: Commit, now_ms: int) -> Decision[Sequence[LogServerError | None]]:
        """Decides on a commit; the answer has one entry for each offset, in order.

        Args:
            may_commit: what `check_committer` has returned for who commits.
        """
        answers: list[LogServerError | None] = []
        entries: dict[OffsetCommitKey, OffsetCommitValue] = {}
        for offset in request.offsets:
            try:
                value = self.commit_one(offset, may_commit, now_ms)
            except LogServerError as error:
                answers.append(error)
                continue
            answers.append(None)
            # Named twice, the last one counts.
            entries[OffsetCommitKey(request.group_id, offset.topic, offset.partition)] = value
        return Decision(answers, [Entry(key, value) for key, value in entries.items()], request.group_id)

    def commit_one(self, offset: OffsetToCommit, may_commit: MayCommit, now_ms: int) -> OffsetCommitValue:
        """Decides on one offset; returns what to write.

        Raises:
            LogServerError: it can't be committed.
        """
        topic_id = self._check(offset)
        may_commit((topic_id, offset.partition))
        return OffsetCommitValue(offset.offset, offset.leader_epoch, offset.metadata, now_ms, NO_TIMESTAMP, topic_id)

    def _check(self, offset: OffsetToCommit) -> str:
        """Checks what is to be committed; returns the topic's id."""
        topic = self._topics.by_name(offset.topic)
        if topic is None:
            raise unknown_topic(offset.topic)
        if not 0 <= offset.partition < topic.partitions:
            raise unknown_partition(offset.topic, offset.partition, topic.partitions)
        if offset.offset < 0:
            raise LogServerError(
                ErrorCode.invalid_request,
                f"the offset {offset.offset} of {offset.topic}-{offset.partition} is negative; it is that of the next "
                "record to read",
            )
        if not -1 <= offset.leader_epoch <= _INT32_MAX:
            raise LogServerError(
                ErrorCode.invalid_request,
                f"the leader epoch {offset.leader_epoch} of {offset.topic}-{offset.partition} is not one; it is -1 "
                "if it is not known",
            )
        size = len(offset.metadata.encode("utf-8", "surrogatepass")) if offset.metadata else 0
        if size > self._limits.offset_metadata_max_bytes:
            raise LogServerError(
                ErrorCode.offset_metadata_too_large,
                f"the metadata of {offset.topic}-{offset.partition} has {size} bytes; "
                f"offset.metadata.max.bytes={self._limits.offset_metadata_max_bytes} are allowed",
            )
        return topic.topic_id


def check_committer(group: ConsumerGroup | None, request: Commit) -> MayCommit:
    """Returns what checks whether the offset of a partition may be committed.

    Args:
        group: None if it has no members and never had any.

    Raises:
        LogServerError: who asks may commit nothing: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, STALE_MEMBER_EPOCH,
            ILLEGAL_GENERATION.
    """
    if group is None or group.is_empty:
        if request.member_epoch >= 0 or request.member_id:
            raise _unknown(request)
        return anybody
    if not request.member_id and request.member_epoch < 0:
        names = ", ".join(repr(member_id[:100]) for member_id in sorted(group.members)[:3])
        raise LogServerError(
            ErrorCode.unknown_member_id,
            f"the group {request.group_id[:100]!r} has members ({names}{', ...' if len(group.members) > 3 else ''}), "
            "so only they commit offsets; stop them first",
        )
    if request.instance_id is not None:
        static = group.static_member(request.instance_id)
        if static is not None and static.member_id != request.member_id:
            raise LogServerError(
                ErrorCode.fenced_instance_id,
                f"another member of the group {request.group_id!r} has taken the instance id {request.instance_id!r}",
            )
    member = group.members.get(request.member_id)
    if member is None:
        raise _unknown(request)
    if request.member_epoch == member.epoch:
        owners = group.owners
        return lambda partition: _check_owner(owners.get(partition), member, request)
    if request.member_epoch > member.epoch:
        raise _stale(member, request)
    return lambda partition: _check_since(member, request, partition)


def check_reader(group: ConsumerGroup | None, group_id: str, member_id: str, member_epoch: int) -> None:
    """Checks a member that wants to read its group's offsets.

    Raises:
        LogServerError: UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH, ILLEGAL_GENERATION.
    """
    request = Commit(group_id, member_id, member_epoch, ())
    member = group.members.get(member_id) if group is not None else None
    if member is None:
        raise _unknown(request)
    if member.epoch != member_epoch:
        raise _stale(member, request)


def anybody(partition: TopicPartition) -> None:
    """The committer may commit for any partition, as in Kafka."""


def _check_owner(owner: str | None, member: Member, request: Commit) -> None:
    """Checks a commit under the member's own epoch: fine unless the partition is another member's.

    Apache Kafka takes it even then. A member that gives up partitions one after another stays in its epoch, and what it
    has sent before the first were gone could come after their new owner's commit and take it back.
    """
    if owner is not None and owner != member.member_id:
        raise LogServerError(
            # One of the classic protocol takes an illegal generation for the end of its membership.
            ErrorCode.stale_member_epoch if member.classic is None else ErrorCode.rebalance_in_progress,
            f"the member {request.member_id[:100]!r} commits for a partition that another member owns now; what it has "
            "not committed others will read again",
        )


def _check_since(member: Member, request: Commit, partition: TopicPartition) -> None:
    """Checks a commit under an older epoch: fine where the member has owned the partition all the time."""
    since = member.assigned.get(partition)
    if since is None:
        since = member.revoking.get(partition)
    if since is None or request.member_epoch < since:
        raise _stale(member, request)


def _unknown(request: Commit) -> LogServerError:
    return LogServerError(
        ErrorCode.unknown_member_id,
        f"the group {request.group_id!r} has no member {request.member_id[:100]!r}; what it has not committed "
        "others will read again",
    )


def _stale(member: Member, request: Commit) -> LogServerError:
    return LogServerError(
        ErrorCode.stale_member_epoch if member.classic is None else ErrorCode.illegal_generation,
        f"the member {request.member_id!r} comes with the epoch {request.member_epoch}, its epoch is {member.epoch}; "
        "take the new one, and commit only what the member still owns",
    )
