"""What has to be written when a consumer group's members come, change or go, or its topics do.

Source: KIP-848; Apache Kafka: `GroupMetadataManager.consumerGroupHeartbeat`, `consumerGroupFenceMembers`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from logserver.coordinator.assignment import assignment_due_ms, assignment_entries, assignment_task, is_large
from logserver.coordinator.assignors import Assignment
from logserver.coordinator.consumer_group import ConsumerGroup
from logserver.coordinator.decision import Entry, Wake
from logserver.coordinator.formats import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
)
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.member import JOINING, Member, fields_of
from logserver.coordinator.migration import downgraded, is_downgraded
from logserver.coordinator.reconcile import reconcile
from logserver.coordinator.topics_view import TopicsView, topics_hash
from logserver.errors import ErrorCode, LogServerError


class GroupChanges:
    """Finds out what to write; groups and time come with each call, and nothing is changed."""

    def __init__(self, limits: GroupLimits, topics: TopicsView) -> None:
        self._limits = limits
        self._topics = topics

    # Members

    def take_in(
        self,
        group: ConsumerGroup,
        former_id: str,
        before: Member,
        member: Member,
        owned: Assignment | None,
        now_ms: int,
    ) -> tuple[Member, list[Entry], Wake]:
        """Takes in what a member has said: a new one, what it subscribes to, what it owns.

        Args:
            former_id: the member id it had so far.
            before: the member as it was; without a subscription where it is new.
            member: as it is from here on.
            owned: what it says that it owns; None if it did not say.

        Returns:
            The member after its next step, what has to be written, and who has to look again.

        Raises:
            LogServerError: GROUP_MAX_SIZE_REACHED.
        """
        is_new = member.member_id not in group.members
        self.check_room(group, former_id)
        entries: list[Entry] = []
        if is_new or member.metadata() != before.metadata():
            entries.append(Entry(ConsumerGroupMemberMetadataKey(group.group_id, member.member_id), member.metadata()))
        epoch = group.epoch
        # Nobody is in with epoch 0, not even who subscribes to nothing: Java's clients don't say everything twice.
        if _wants(member) != _wants(before) or not group.epoch:
            matched = self._match_new(group, member)
            entries += self._pattern_entries(group, before, member, matched, now_ms)
            epoch += 1
            names = group.subscribed_names(without=group.members.get(former_id))
            names.update(group.names_of(member), *matched.values())
            entries.append(self.epoch_entry(group, epoch, names))
        else:
            matched = {}
        assignment_epoch, target = group.assignment_epoch, group.target(former_id)
        wake = Wake.NOBODY
        if epoch > assignment_epoch and self._assigns_now(group, now_ms):
            others = (other for key, other in group.members.items() if key not in (former_id, member.member_id))
            task = assignment_task(
                group.group_id,
                epoch,
                (*others, member),
                {**group.targets, member.member_id: target},
                {**group.patterns, **matched},
                self._topics,
                self._limits.assignors,
            )
            targets = task.run()
            entries += assignment_entries(group, epoch, targets.items(), now_ms)
            assignment_epoch, target = epoch, targets[member.member_id]
            wake = Wake.ALL
        after = reconcile(member, target, assignment_epoch, group.owners, owned)
        if is_new or after is not member:
            entries.append(
                Entry(ConsumerGroupCurrentMemberAssignmentKey(group.group_id, after.member_id), after.current())
            )
            if wake is Wake.NOBODY and _gives_up(member, after):
                wake = Wake.WAITING
        return after, entries, wake

    def check_room(self, group: ConsumerGroup, member_id: str) -> None:
        """Checks that there is room for a member, unless it is in the group.

        Raises:
            LogServerError: GROUP_MAX_SIZE_REACHED.
        """
        if member_id not in group.members and len(group.members) >= self._limits.max_members:
            raise LogServerError(
                ErrorCode.group_max_size_reached,
                f"the group {group.group_id!r} has group.consumer.max.size={self._limits.max_members} members already",
            )

    @staticmethod
    def succeed(group: ConsumerGroup, static: Member, member_id: str) -> tuple[Member, list[Entry]]:
        """Has a static member come back under a new member id: it takes over everything.

        Returns:
            The member that it is now, and what has to be written.
        """
        member = static._replace(member_id=member_id, epoch=JOINING, previous_epoch=JOINING)
        return member, [
            *group.removal_of(static.member_id),
            Entry(ConsumerGroupMemberMetadataKey(group.group_id, member_id), member.metadata()),
            Entry(
                ConsumerGroupTargetAssignmentMemberKey(group.group_id, member_id),
                ConsumerGroupTargetAssignmentMemberValue(fields_of(group.target(static.member_id))),
            ),
        ]

    def removal(self, group: ConsumerGroup, member_ids: Collection[str], now_ms: int) -> list[Entry]:
        """Returns what has to be written when members leave or are given up; if the rest uses the classic protocol, the
        group is a classic one from there on."""
        rest = [member for member in group.members.values() if member.member_id not in member_ids]
        gone = [member for member_id in member_ids if (member := group.members.get(member_id)) is not None]
        classic = group.classic_members - sum(member.classic is not None for member in gone)
        if len(rest) == classic and is_downgraded(rest, self._limits):
            return list(downgraded(group, rest, self._topics, now_ms))
        entries: list[Entry] = []
        for member_id in member_ids:
            entries += group.removal_of(member_id)
        if group.patterns:
            used = {member.pattern for member in rest}
            entries += (
                Entry(ConsumerGroupRegularExpressionKey(group.group_id, pattern), None)
                for pattern in group.patterns
                if pattern not in used
            )
        names = {name for member in rest for name in group.names_of(member)}
        entries.append(self.epoch_entry(group, group.epoch + 1, names))
        return entries

    # Assignments

    def _assigns_now(self, group: ConsumerGroup, now_ms: int) -> bool:
        # A group without any assignment has at most a few members; its first one would be told epoch 0 otherwise.
        if not group.assignment_epoch:
            return True
        interval_ms = self._limits.assignment_interval_of(group.group_id)
        return not is_large(group) and now_ms >= assignment_due_ms(group, interval_ms, now_ms)

    def topics_changed(self, group: ConsumerGroup, now_ms: int) -> list[Entry]:
        """Returns what has to be written because topics have come, gone or grown; nothing if it is none of the
        group's."""
        entries: list[Entry] = []
        matched = dict(group.patterns)
        for pattern in sorted(group.used_patterns()):
            try:
                topics = self._topics.matching(pattern)
            except LogServerError:
                # Found in the log of another version or server: it goes on meaning what it did there.
                continue
            if topics != group.patterns.get(pattern):
                entries.append(_pattern_entry(group, pattern, topics, now_ms))
                matched[pattern] = topics
        names = {name for member in group.members.values() for name in member.topics}
        for pattern in group.used_patterns():
            names.update(matched.get(pattern, ()))
        if topics_hash(names, self._topics) != group.metadata_hash:
            entries.append(self.epoch_entry(group, group.epoch + 1, names))
        return entries

    def _match_new(self, group: ConsumerGroup, member: Member) -> dict[str, tuple[str, ...]]:
        """Returns what a member's pattern matches, if it is new to the group."""
        if member.pattern is None or member.pattern in group.patterns:
            return {}
        return {member.pattern: self._topics.matching(member.pattern)}

    @staticmethod
    def _pattern_entries(
        group: ConsumerGroup, before: Member, member: Member, matched: Mapping[str, tuple[str, ...]], now_ms: int
    ) -> list[Entry]:
        """Returns what has to be written for patterns that a member begins or ends to use."""
        entries = [_pattern_entry(group, pattern, names, now_ms) for pattern, names in matched.items()]
        if (
            before.pattern is not None
            and before.pattern != member.pattern
            and before.pattern not in group.used_patterns(without=before)
        ):
            entries.append(Entry(ConsumerGroupRegularExpressionKey(group.group_id, before.pattern), None))
        return entries

    def epoch_entry(self, group: ConsumerGroup, epoch: int, names: Iterable[str]) -> Entry:
        return Entry(
            ConsumerGroupMetadataKey(group.group_id),
            ConsumerGroupMetadataValue(epoch, topics_hash(names, self._topics)),
        )


def _pattern_entry(group: ConsumerGroup, pattern: str, names: tuple[str, ...], now_ms: int) -> Entry:
    return Entry(
        ConsumerGroupRegularExpressionKey(group.group_id, pattern),
        ConsumerGroupRegularExpressionValue(names, 0, now_ms),
    )


def _wants(member: Member) -> tuple[Sequence[str], str | None, str | None]:
    return member.topics, member.pattern, member.assignor


def _gives_up(before: Member, after: Member) -> bool:
    """Whether partitions are free for others after a step."""
    return any(
        partition not in after.assigned and partition not in after.revoking
        for partition in (*before.assigned, *before.revoking)
    )
