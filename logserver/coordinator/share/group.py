"""The state of one share group: what its records say, taken in one at a time."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from logserver.coordinator.assignors import Assignment
from logserver.coordinator.decision import Entry
from logserver.coordinator.formats import (
    ShareGroupCurrentMemberAssignmentKey,
    ShareGroupCurrentMemberAssignmentValue,
    ShareGroupMemberMetadataKey,
    ShareGroupMemberMetadataValue,
    ShareGroupMetadataKey,
    ShareGroupMetadataValue,
    ShareGroupStatePartitionMetadataKey,
    ShareGroupStatePartitionMetadataValue,
    ShareGroupTargetAssignmentMemberKey,
    ShareGroupTargetAssignmentMemberValue,
    ShareGroupTargetAssignmentMetadataKey,
    ShareGroupTargetAssignmentMetadataValue,
    ShareKey,
    ShareValue,
)
from logserver.coordinator.member import assignment_of
from logserver.coordinator.share.member import ShareMember
from logserver.coordinator.share.topics import ShareTopics

_NOTHING: Final[Assignment] = frozenset()
_NO_PARTITIONS: Final[frozenset[int]] = frozenset()


class ShareGroup:
    """One share group. Only `apply` changes it; it takes the records of a log from its beginning, compacted or not, as
    well as those just written."""

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.epoch = 0
        self.metadata_hash = 0
        """Of the topics subscribed to, at the last change of the epoch."""
        self.assignment_epoch = 0
        self.assignment_time_ms = 0
        self.members: dict[str, ShareMember] = {}
        self.targets: dict[str, Assignment] = {}
        self.topics = ShareTopics()
        """Whose delivery state is there, or is being made or taken back."""
        # How many members name a topic.
        self._topic_members: Counter[str] = Counter()
        # Found out anew when something has changed: heartbeats ask it, and hardly ever does it change.
        self._has_unassigned: bool | None = None

    # Looking

    @property
    def is_empty(self) -> bool:
        return not self.members

    @property
    def state(self) -> str:
        """ "empty" or "stable", as Kafka's `ShareGroupState`."""
        return "stable" if self.members else "empty"

    def target(self, member_id: str) -> Assignment:
        """Returns what a member is to have; nothing if it has no target yet."""
        return self.targets.get(member_id, _NOTHING)

    def subscribed_names(self, without: ShareMember | None = None) -> set[str]:
        """Returns the names of all topics that members are subscribed to, whether the topics exist or not.

        Args:
            without: a member that does not count.
        """
        topics = () if without is None else without.topics
        return {name for name, count in self._topic_members.items() if count > (name in topics)}

    @property
    def has_unassigned(self) -> bool:
        """Whether the state of partitions has come to be there since they were assigned last."""
        if self._has_unassigned is None:
            assigned: dict[str, set[int]] = {}
            for target in self.targets.values():
                for topic_id, number in target:
                    assigned.setdefault(topic_id, set()).add(number)
            self._has_unassigned = any(
                name in self._topic_members and partitions != assigned.get(topic_id, _NO_PARTITIONS)
                for topic_id, (name, partitions) in self.topics.initialized.items()
            )
        return self._has_unassigned

    # Changing

    def apply(self, key: ShareKey, value: ShareValue | None, timestamp_ms: int) -> None:
        """Takes in a record of the group, but not the one that ends it."""
        self._has_unassigned = None
        match key, value:
            case ShareGroupMetadataKey(), ShareGroupMetadataValue():
                self.epoch = value.epoch
                self.metadata_hash = value.metadata_hash
            case ShareGroupMemberMetadataKey(_, member), ShareGroupMemberMetadataValue() | None:
                self._apply_member(member, value)
            case ShareGroupTargetAssignmentMetadataKey(), ShareGroupTargetAssignmentMetadataValue() | None:
                self.assignment_epoch = value.assignment_epoch if value is not None else 0
                self.assignment_time_ms = value.assignment_timestamp_ms if value is not None else 0
            case ShareGroupTargetAssignmentMemberKey(_, member), ShareGroupTargetAssignmentMemberValue():
                self.targets[member] = assignment_of(value.assignment)
            case ShareGroupTargetAssignmentMemberKey(_, member), None:
                self.targets.pop(member, None)
            case ShareGroupCurrentMemberAssignmentKey(_, member), ShareGroupCurrentMemberAssignmentValue() | None:
                # A compacted log may have this record before that of the metadata.
                before = self.members.get(member) or (ShareMember(member) if value is not None else None)
                if before is not None:
                    self.members[member] = before.with_current(value)
            case ShareGroupStatePartitionMetadataKey(), ShareGroupStatePartitionMetadataValue() | None:
                self.topics = ShareTopics.of(value, timestamp_ms)
            case _:
                raise AssertionError((key, value))

    def _apply_member(self, member_id: str, value: ShareGroupMemberMetadataValue | None) -> None:
        before = self.members.get(member_id)
        if before is not None:
            self._count(before, -1)
        if value is None:
            self.members.pop(member_id, None)
            self.targets.pop(member_id, None)
            return
        after = (before or ShareMember(member_id)).with_metadata(value)
        self.members[member_id] = after
        self._count(after, 1)

    def _count(self, member: ShareMember, difference: int) -> None:
        for topic in member.topics:
            self._topic_members[topic] += difference
            if not self._topic_members[topic]:
                del self._topic_members[topic]

    # Records

    def removal_of(self, member_id: str) -> Iterator[Entry]:
        """Yields the tombstones of a member, in Kafka's order."""
        yield Entry(ShareGroupCurrentMemberAssignmentKey(self.group_id, member_id), None)
        yield Entry(ShareGroupTargetAssignmentMemberKey(self.group_id, member_id), None)
        yield Entry(ShareGroupMemberMetadataKey(self.group_id, member_id), None)

    def removal(self) -> Iterator[Entry]:
        """Yields the tombstones of the group itself, which has no members."""
        yield Entry(ShareGroupTargetAssignmentMetadataKey(self.group_id), None)
        yield Entry(ShareGroupStatePartitionMetadataKey(self.group_id), None)
        yield Entry(ShareGroupMetadataKey(self.group_id), None)

    def topics_entry(self, topics: ShareTopics) -> Entry:
        """Returns the record of topics whose state is there, or is being made or taken back."""
        return Entry(ShareGroupStatePartitionMetadataKey(self.group_id), topics.record())

    def check(self) -> None:
        """Asserts what always holds."""
        named: Mapping[str, int] = Counter(topic for member in self.members.values() for topic in member.topics)
        assert named == self._topic_members, (self.group_id, named, self._topic_members)
        assert self.assignment_epoch <= self.epoch, (self.group_id, self.assignment_epoch, self.epoch)
        assert self.targets.keys() <= self.members.keys(), (self.group_id, self.targets, self.members)
        for member in self.members.values():
            assert 0 < member.epoch <= self.assignment_epoch, (self.group_id, member, self.assignment_epoch)
