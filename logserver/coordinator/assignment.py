"""The target assignment of a group: which partitions each member is to own in the end.

It follows the group epoch at a distance. A small group gets its assignment in the same step as the change that asks for
it, a large one after a while and on another thread, for all changes until then at once (KIP-1263).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from logserver.coordinator.assignors import ASSIGNORS, Assignment, MemberSpec
from logserver.coordinator.consumer_group import ConsumerGroup
from logserver.coordinator.decision import Entry
from logserver.coordinator.formats import (
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
)
from logserver.coordinator.member import Member, fields_of
from logserver.coordinator.topics_view import TopicsView

_NOTHING: Final[Assignment] = frozenset()
_LARGE: Final = 2_000
"""Members and partitions together from which on an assignment is not made in passing: about 20 ms."""
_PER_MS: Final = 10
"""Members and partitions that add a millisecond to the interval between assignments, so that a group which grows to
any size takes a tenth of a core at most."""


class AssignmentTask(NamedTuple):
    """What an assignor needs to know, independent of the group from here on."""

    group_id: str
    group_epoch: int
    assignor: str
    members: Mapping[str, MemberSpec]
    partitions: Mapping[str, int]

    def run(self) -> dict[str, Assignment]:
        """Returns the target of every member."""
        return ASSIGNORS[self.assignor].assign(self.members, self.partitions)


def assignment_task(
    group_id: str,
    group_epoch: int,
    members: Iterable[Member],
    targets: Mapping[str, Assignment],
    patterns: Mapping[str, Sequence[str]],
    topics: TopicsView,
    assignors: Sequence[str],
) -> AssignmentTask:
    """Returns the assignment that a group needs.

    Args:
        group_epoch: that the assignment is for.
        targets: what members are to own so far, by member id.
        patterns: the names that each pattern matches.
        assignors: by name; the first one serves where members do not ask for one.
    """
    specs: dict[str, MemberSpec] = {}
    partitions: dict[str, int] = {}
    # Members mostly subscribe to the same.
    known: dict[tuple[tuple[str, ...], str | None], frozenset[str]] = {}
    wanted: Counter[str] = Counter()
    for member in members:
        subscription = (member.topics, member.pattern)
        subscribed = known.get(subscription)
        if subscribed is None:
            names = (*member.topics, *patterns.get(member.pattern or "", ()))
            views = [view for name in names if (view := topics.by_name(name)) is not None]
            partitions.update((view.topic_id, view.partitions) for view in views)
            subscribed = known[subscription] = frozenset(view.topic_id for view in views)
        specs[member.member_id] = MemberSpec(subscribed, targets.get(member.member_id, _NOTHING), member.instance_id)
        if member.assignor is not None:
            wanted[member.assignor] += 1
    return AssignmentTask(group_id, group_epoch, preferred(wanted, assignors), specs, partitions)


def task_for(group: ConsumerGroup, topics: TopicsView, assignors: Sequence[str]) -> AssignmentTask:
    """Returns the assignment that a group needs as it is."""
    return assignment_task(
        group.group_id, group.epoch, group.members.values(), group.targets, group.patterns, topics, assignors
    )


def preferred(wanted: Mapping[str, int], assignors: Sequence[str]) -> str:
    """Returns the assignor that most members want, of equal ones the first; the first of all if nobody wants one."""
    return max(assignors, key=lambda name: wanted.get(name, 0))


def assignor_of(group: ConsumerGroup, assignors: Sequence[str]) -> str:
    """Returns the assignor that a group goes by."""
    return preferred(Counter(member.assignor for member in group.members.values() if member.assignor), assignors)


def assignment_entries(
    group: ConsumerGroup, epoch: int, targets: Iterable[tuple[str, Assignment]], now_ms: int
) -> list[Entry]:
    """Returns what has to be written for a new target assignment: what is different, and the epoch."""
    entries = [
        Entry(
            ConsumerGroupTargetAssignmentMemberKey(group.group_id, member_id),
            ConsumerGroupTargetAssignmentMemberValue(fields_of(target)),
        )
        for member_id, target in targets
        if group.targets.get(member_id) != target
    ]
    entries.append(
        Entry(
            ConsumerGroupTargetAssignmentMetadataKey(group.group_id),
            ConsumerGroupTargetAssignmentMetadataValue(epoch, now_ms),
        )
    )
    return entries


def _size(group: ConsumerGroup) -> int:
    return len(group.members) + len(group.owners)


def is_large(group: ConsumerGroup) -> bool:
    """Whether an assignment of the group takes so long that it is made on another thread."""
    return _size(group) > _LARGE


def assignment_due_ms(group: ConsumerGroup, interval_ms: int, now_ms: int) -> int:
    """Returns when the group may get its next assignment."""
    # The last one's time is of the future where the machine's clock has been set back.
    return min(group.assignment_time_ms, now_ms) + max(interval_ms, _size(group) // _PER_MS if is_large(group) else 0)
