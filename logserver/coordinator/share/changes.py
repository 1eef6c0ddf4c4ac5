"""What has to be written when a share group's members come, change or go, or its topics do.

Source: KIP-932; Apache Kafka: `GroupMetadataManager.shareGroupHeartbeat`, `shareGroupFenceMember`.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from logserver.coordinator.assignors import Assignment, MemberSpec
from logserver.coordinator.decision import Entry
from logserver.coordinator.formats import (
    ShareGroupCurrentMemberAssignmentKey,
    ShareGroupMemberMetadataKey,
    ShareGroupMetadataKey,
    ShareGroupMetadataValue,
    ShareGroupTargetAssignmentMemberKey,
    ShareGroupTargetAssignmentMemberValue,
    ShareGroupTargetAssignmentMetadataKey,
    ShareGroupTargetAssignmentMetadataValue,
)
from logserver.coordinator.member import fields_of
from logserver.coordinator.share.assignor import assign
from logserver.coordinator.share.group import ShareGroup
from logserver.coordinator.share.limits import ShareLimits
from logserver.coordinator.share.member import ShareMember
from logserver.coordinator.share.requests import Initialization
from logserver.coordinator.share.topics import ShareTopicState
from logserver.coordinator.topics_view import TopicsView, topics_hash


class Step(NamedTuple):
    """What becomes of a group when a member has been heard."""

    member: ShareMember
    entries: list[Entry]
    initialization: Initialization | None


class ShareChanges:
    """Finds out what to write; groups and time come with each call, and nothing is changed."""

    def __init__(self, limits: ShareLimits, topics: TopicsView) -> None:
        self._limits = limits
        self._topics = topics

    # Members

    def take_in(self, group: ShareGroup, before: ShareMember, member: ShareMember, now_ms: int) -> Step:
        """Takes in what a member has said.

        Args:
            before: the member as it was; without a subscription where it is new.
            member: as it is from here on.
        """
        entries: list[Entry] = []
        if before.member_id not in group.members or member.metadata() != before.metadata():
            entries.append(Entry(ShareGroupMemberMetadataKey(group.group_id, member.member_id), member.metadata()))
        subscribes = member.topics != before.topics or not group.epoch
        names = group.subscribed_names(without=group.members.get(member.member_id)) | set(member.topics)
        epoch = group.epoch
        if subscribes or (epoch <= group.assignment_epoch and group.has_unassigned):
            epoch += 1
            entries.append(self.epoch_entry(group, epoch, names))
        target_epoch, target = group.assignment_epoch, group.target(member.member_id)
        if epoch > target_epoch and self._assigns_now(group, now_ms):
            targets = self._assignment(group, member)
            entries += _target_entries(group, epoch, targets, now_ms)
            target_epoch, target = epoch, targets[member.member_id]
        after = self._next(member, target_epoch, target, subscribes)
        if after is not member:
            entries.append(
                Entry(ShareGroupCurrentMemberAssignmentKey(group.group_id, after.member_id), after.current())
            )
        initialization = self._initialization(group, epoch, names, now_ms)
        if initialization is not None:
            entries.append(group.topics_entry(group.topics.begun(self._named(initialization.partitions))))
        return Step(after, entries, initialization)

    def removal(self, group: ShareGroup, member_ids: Collection[str]) -> list[Entry]:
        """Returns what has to be written when members leave or are given up."""
        entries = [entry for member_id in member_ids for entry in group.removal_of(member_id)]
        rest = (member for member in group.members.values() if member.member_id not in member_ids)
        names = {name for member in rest for name in member.topics}
        entries.append(self.epoch_entry(group, group.epoch + 1, names))
        return entries

    def epoch_entry(self, group: ShareGroup, epoch: int, names: Iterable[str]) -> Entry:
        """Returns the record of a group epoch."""
        return Entry(
            ShareGroupMetadataKey(group.group_id), ShareGroupMetadataValue(epoch, topics_hash(names, self._topics))
        )

    # Assignments

    def _assigns_now(self, group: ShareGroup, now_ms: int) -> bool:
        # Who has nothing is not kept waiting: it costs no member anything.
        if not any(group.targets.values()):
            return True
        # The last one's time is of the future where the machine's clock has been set back.
        since_ms = min(group.assignment_time_ms, now_ms)
        return now_ms >= since_ms + self._limits.assignment_interval_of(group.group_id)

    def _assignment(self, group: ShareGroup, member: ShareMember) -> dict[str, Assignment]:
        known: dict[tuple[str, ...], frozenset[str]] = {}
        specs: dict[str, MemberSpec] = {}
        for one in {**group.members, member.member_id: member}.values():
            if one.topics not in known:
                views = map(self._topics.by_name, one.topics)
                known[one.topics] = frozenset(view.topic_id for view in views if view is not None)
            specs[one.member_id] = MemberSpec(known[one.topics], group.target(one.member_id))
        partitions = {topic_id: state.partitions for topic_id, state in group.topics.initialized.items()}
        return assign(specs, partitions)

    def _next(self, member: ShareMember, target_epoch: int, target: Assignment, subscribes: bool) -> ShareMember:
        """Returns the member after its next step; the same object if there is none to take."""
        if member.epoch == target_epoch and not subscribes:
            return member
        views = map(self._topics.by_name, member.topics)
        topic_ids = {view.topic_id for view in views if view is not None}
        after = member._replace(assigned=frozenset(partition for partition in target if partition[0] in topic_ids))
        if member.epoch != target_epoch:
            after = after._replace(epoch=target_epoch, previous_epoch=member.epoch)
        return member if after == member else after

    # Topics

    def _initialization(
        self, group: ShareGroup, epoch: int, names: Iterable[str], now_ms: int
    ) -> Initialization | None:
        after_ms = now_ms - self._limits.initialize_retry_interval_ms
        partitions: dict[str, frozenset[int]] = {}
        for name in sorted(names):
            view = self._topics.by_name(name)
            if view is not None and len(group.topics.is_there(view.topic_id)) < view.partitions:
                known = group.topics.is_there(view.topic_id) | group.topics.is_coming(view.topic_id, after_ms)
                missing = frozenset(range(view.partitions)) - known
                if missing:
                    partitions[view.topic_id] = missing
        return Initialization(group.group_id, epoch, partitions) if partitions else None

    def _named(self, partitions: Mapping[str, frozenset[int]]) -> dict[str, ShareTopicState]:
        named = {}
        for topic_id, numbers in partitions.items():
            view = self._topics.by_id(topic_id)
            named[topic_id] = ShareTopicState(view.name if view is not None else "", numbers)
        return named

    def topics_changed(self, group: ShareGroup) -> list[Entry]:
        """Returns what has to be written because topics have come, gone or grown; nothing if it is none of the
        group's."""
        entries: list[Entry] = []
        known = {
            **{topic_id: state.topic for topic_id, state in group.topics.initializing.items()},
            **{topic_id: state.topic for topic_id, state in group.topics.initialized.items()},
            **group.topics.deleting,
        }
        gone = {topic_id for topic_id, name in known.items() if not self._exists(topic_id, name)}
        if gone:
            entries.append(group.topics_entry(group.topics.without(gone)))
        names = group.subscribed_names()
        if not group.is_empty and topics_hash(names, self._topics) != group.metadata_hash:
            entries.append(self.epoch_entry(group, group.epoch + 1, names))
        return entries

    def _exists(self, topic_id: str, name: str) -> bool:
        view = self._topics.by_name(name)
        return view is not None and view.topic_id == topic_id


def _target_entries(group: ShareGroup, epoch: int, targets: Mapping[str, Assignment], now_ms: int) -> list[Entry]:
    """Returns what has to be written for a new target assignment: what is different, and the epoch."""
    entries = [
        Entry(
            ShareGroupTargetAssignmentMemberKey(group.group_id, member_id),
            ShareGroupTargetAssignmentMemberValue(fields_of(target)),
        )
        for member_id, target in targets.items()
        if group.targets.get(member_id) != target
    ]
    entries.append(
        Entry(
            ShareGroupTargetAssignmentMetadataKey(group.group_id),
            ShareGroupTargetAssignmentMetadataValue(epoch, now_ms),
        )
    )
    return entries
