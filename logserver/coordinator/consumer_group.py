"""The state of one consumer group: what its records say, taken in one at a time."""

from collections import Counter
from collections.abc import Iterable, Iterator

from logserver.coordinator.assignors import Assignment, TopicPartition
from logserver.coordinator.decision import Entry
from logserver.coordinator.formats import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
    Key,
    MemberState,
    Value,
)
from logserver.coordinator.member import JOINING, Member, assignment_of, protocols_of

_NOTHING: Assignment = frozenset()


class ConsumerGroup:
    """One consumer group. Only `apply_...` change it; they take the records of a log from its beginning, compacted or
    not, as well as those just written."""

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.epoch = 0
        self.metadata_hash = 0
        """Of the topics subscribed to, at the last change of the epoch."""
        self.epoch_time_ms = 0
        """When the group epoch was raised last: since when the group is empty, if it is."""
        self.assignment_epoch = 0
        self.assignment_time_ms = 0
        self.members: dict[str, Member] = {}
        self.instances: dict[str, str] = {}
        """Member ids of static members by instance id."""
        self.targets: dict[str, Assignment] = {}
        self.owners: dict[TopicPartition, str] = {}
        """Who owns a partition, or has not given it up yet."""
        self.patterns: dict[str, tuple[str, ...]] = {}
        """The names that each pattern matched."""
        self.waiting: set[str] = set()
        """Members that wait for partitions which others have not given up."""
        # How many members name a topic, and a pattern.
        self._topic_members: Counter[str] = Counter()
        self._pattern_members: Counter[str] = Counter()
        # Of how many members of the classic protocol each assignor is one that they can use.
        self._protocol_members: Counter[str] = Counter()
        self.classic_members = 0
        """How many members use the classic protocol."""

    # Looking

    @property
    def is_empty(self) -> bool:
        return not self.members

    @property
    def state(self) -> str:
        """ "empty", "assigning", "reconciling" or "stable", as Kafka's `ConsumerGroupState`."""
        if not self.members:
            return "empty"
        if self.epoch > self.assignment_epoch:
            return "assigning"
        for member in self.members.values():
            if not member.is_away and (member.state is not MemberState.STABLE or member.epoch != self.assignment_epoch):
                return "reconciling"
        return "stable"

    def target(self, member_id: str) -> Assignment:
        """Returns what a member is to own; nothing if it has no target yet."""
        return self.targets.get(member_id, _NOTHING)

    def static_member(self, instance_id: str) -> Member | None:
        """Returns the member with an instance id."""
        member_id = self.instances.get(instance_id)
        return self.members.get(member_id) if member_id is not None else None

    def subscribed_names(self, without: Member | None = None) -> set[str]:
        """Returns the names of all topics that members are subscribed to, whether the topics exist or not.

        Args:
            without: a member that does not count.
        """
        topics = () if without is None else without.topics
        names = {name for name, count in self._topic_members.items() if count > (name in topics)}
        for pattern in self.used_patterns(without):
            names.update(self.patterns.get(pattern, ()))
        return names

    def used_patterns(self, without: Member | None = None) -> set[str]:
        """Returns the patterns that members are subscribed by."""
        pattern = None if without is None else without.pattern
        return {used for used, count in self._pattern_members.items() if count > (used == pattern)}

    def is_subscribed(self, topic: str) -> bool:
        """Whether a member is subscribed to a topic."""
        return topic in self._topic_members or any(
            topic in self.patterns.get(pattern, ()) for pattern in self._pattern_members
        )

    def can_all_use(self, names: Iterable[str], without: Member | None = None) -> bool:
        """Whether one of these assignors is one that all members of the classic protocol can use.

        Args:
            without: a member that does not count.
        """
        left_out = protocols_of(without) if without is not None else frozenset()
        count = self.classic_members - bool(left_out)
        return any(self._protocol_members[name] - (name in left_out) == count for name in names)

    def names_of(self, member: Member) -> Iterable[str]:
        """Returns the names of the topics that a member is subscribed to; some may be named twice."""
        if member.pattern is None:
            return member.topics
        return (*member.topics, *self.patterns.get(member.pattern, ()))

    # Changing

    def apply(self, key: Key, value: Value | None, timestamp_ms: int) -> None:
        """Takes in a record of the group, but not the one that ends it; those of other kinds are passed by."""
        match key, value:
            case ConsumerGroupMetadataKey(), ConsumerGroupMetadataValue():
                self.apply_epoch(value, timestamp_ms)
            case ConsumerGroupMemberMetadataKey(_, member), ConsumerGroupMemberMetadataValue() | None:
                self.apply_member(member, value)
            case ConsumerGroupTargetAssignmentMetadataKey(), ConsumerGroupTargetAssignmentMetadataValue() | None:
                self.apply_target_epoch(value)
            case ConsumerGroupTargetAssignmentMemberKey(_, member), ConsumerGroupTargetAssignmentMemberValue() | None:
                self.apply_target(member, value)
            case ConsumerGroupCurrentMemberAssignmentKey(_, member), ConsumerGroupCurrentMemberAssignmentValue() | None:
                self.apply_current(member, value)
            case ConsumerGroupRegularExpressionKey(_, pattern), ConsumerGroupRegularExpressionValue() | None:
                self.apply_pattern(pattern, value)
            case _:
                pass

    def apply_epoch(self, value: ConsumerGroupMetadataValue, timestamp_ms: int) -> None:
        """Takes in a record of the group epoch."""
        self.epoch = value.epoch
        self.metadata_hash = value.metadata_hash
        self.epoch_time_ms = timestamp_ms

    def apply_member(self, member_id: str, value: ConsumerGroupMemberMetadataValue | None) -> None:
        """Takes in a record of a member's metadata; a tombstone ends the membership."""
        before = self.members.get(member_id)
        if before is not None:
            self._count(before, -1)
            if before.instance_id is not None and self.instances.get(before.instance_id) == member_id:
                del self.instances[before.instance_id]
        if value is None:
            if before is not None:
                self._own(before, None)
                del self.members[member_id]
            self.targets.pop(member_id, None)
            self.waiting.discard(member_id)
            return
        after = (before or Member(member_id)).with_metadata(value)
        self.members[member_id] = after
        self._count(after, 1)
        if after.instance_id is not None:
            self.instances[after.instance_id] = member_id

    def _count(self, member: Member, difference: int) -> None:
        for topic in member.topics:
            _add(self._topic_members, topic, difference)
        if member.pattern is not None:
            _add(self._pattern_members, member.pattern, difference)
        if member.classic is not None:
            self.classic_members += difference
            for name in protocols_of(member):
                _add(self._protocol_members, name, difference)

    def apply_target_epoch(self, value: ConsumerGroupTargetAssignmentMetadataValue | None) -> None:
        """Takes in a record of which epoch the target assignment is for."""
        self.assignment_epoch = value.assignment_epoch if value is not None else 0
        self.assignment_time_ms = value.assignment_timestamp_ms if value is not None else 0

    def apply_target(self, member_id: str, value: ConsumerGroupTargetAssignmentMemberValue | None) -> None:
        """Takes in a record of what a member is to own."""
        if value is None:
            self.targets.pop(member_id, None)
        else:
            self.targets[member_id] = assignment_of(value.assignment)

    def apply_current(self, member_id: str, value: ConsumerGroupCurrentMemberAssignmentValue | None) -> None:
        """Takes in a record of what a member owns."""
        before = self.members.get(member_id)
        if value is None:
            if before is None:
                return
            after = before._replace(
                epoch=JOINING, previous_epoch=JOINING, state=MemberState.STABLE, assigned={}, revoking={}
            )
        else:
            # A compacted log may have this record before that of the metadata.
            after = (before or Member(member_id)).with_current(value)
        self._own(before, after)
        self.members[member_id] = after
        if after.state is MemberState.UNRELEASED_PARTITIONS:
            self.waiting.add(member_id)
        else:
            self.waiting.discard(member_id)

    def apply_pattern(self, pattern: str, value: ConsumerGroupRegularExpressionValue | None) -> None:
        """Takes in a record of what a pattern matches."""
        if value is None:
            self.patterns.pop(pattern, None)
        else:
            self.patterns[pattern] = value.topics

    def _own(self, before: Member | None, after: Member | None) -> None:
        owners = self.owners
        if before is not None:
            for partition in (*before.assigned, *before.revoking):
                if owners.get(partition) == before.member_id:
                    del owners[partition]
        if after is not None:
            for partition in (*after.assigned, *after.revoking):
                owners[partition] = after.member_id

    # Records

    def removal_of(self, member_id: str) -> Iterator[Entry]:
        """Yields the tombstones of a member, in Kafka's order."""
        yield Entry(ConsumerGroupCurrentMemberAssignmentKey(self.group_id, member_id), None)
        yield Entry(ConsumerGroupTargetAssignmentMemberKey(self.group_id, member_id), None)
        yield Entry(ConsumerGroupMemberMetadataKey(self.group_id, member_id), None)

    def removal(self) -> Iterator[Entry]:
        """Yields the tombstones of the group itself, which has no members."""
        for pattern in self.patterns:
            yield Entry(ConsumerGroupRegularExpressionKey(self.group_id, pattern), None)
        yield Entry(ConsumerGroupTargetAssignmentMetadataKey(self.group_id), None)
        yield Entry(ConsumerGroupMetadataKey(self.group_id), None)

    def check(self) -> None:
        """Asserts what always holds: whoever owns a partition is a member, and nobody else owns it."""
        owned = [
            (partition, member.member_id)
            for member in self.members.values()
            for partition in (*member.assigned, *member.revoking)
        ]
        assert dict(owned) == self.owners, (self.group_id, owned, self.owners)
        assert len(owned) == len(self.owners), (self.group_id, owned)
        assert self.assignment_epoch <= self.epoch, (self.group_id, self.assignment_epoch, self.epoch)
        for member in self.members.values():
            assert member.epoch <= max(self.assignment_epoch, 0), (self.group_id, member, self.assignment_epoch)
            assert member.assigned.keys().isdisjoint(member.revoking), member


def _add(counter: Counter[str], key: str, difference: int) -> None:
    counter[key] += difference
    if not counter[key]:
        del counter[key]
