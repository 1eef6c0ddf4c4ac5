"""All groups of the classic protocol of a shard."""

from collections.abc import Iterator, Sequence

from logserver.coordinator.classic_group import ClassicGroup, ClassicState
from logserver.coordinator.classic_membership import ClassicMembership
from logserver.coordinator.classic_rebalance import JOINING, SESSION, SYNCING, Rebalances
from logserver.coordinator.classic_refusals import unknown_member
from logserver.coordinator.classic_requests import JoinAnswer, JoinGroup, Later, MemberOfGroup, SyncAnswer, SyncGroup
from logserver.coordinator.decision import Decision
from logserver.coordinator.formats import GroupMetadataValue
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.timers import TimerKey, Timers
from logserver.errors import LogServerError

TIMERS = frozenset((SESSION, JOINING, SYNCING))
"""First parts of the keys of timers that `due` is for."""


class ClassicGroups:
    """Groups by id, and the decisions on their members' requests."""

    def __init__(self, limits: GroupLimits, timers: Timers) -> None:
        self.groups: dict[str, ClassicGroup] = {}
        self._rebalances = Rebalances(limits, timers)
        self._membership = ClassicMembership(limits, self._rebalances)
        self._timers = timers

    def join(self, request: JoinGroup, now_ms: int) -> Decision[JoinAnswer | Later]:
        """Decides on a JoinGroup; the first one makes the group.

        Raises:
            LogServerError: the member can't join.
        """
        group = self.groups.get(request.group_id)
        if group is None:
            if request.member_id:
                raise unknown_member(request.group_id, request.member_id)
            group = ClassicGroup(request.group_id)
        decision = self._membership.join(group, request, now_ms)
        self.groups[request.group_id] = group
        return decision

    def sync(self, request: SyncGroup, now_ms: int) -> Decision[SyncAnswer | Later]:
        """Decides on a SyncGroup.

        Raises:
            LogServerError: the member is not one of this generation.
        """
        return self._membership.sync(self._existing(request.group_id, request.member_id), request, now_ms)

    def heartbeat(self, request: MemberOfGroup, now_ms: int) -> Decision[None]:
        """Decides on a Heartbeat.

        Raises:
            LogServerError: REBALANCE_IN_PROGRESS, or the member is not one of this generation.
        """
        return self._membership.heartbeat(self._existing(request.group_id, request.member_id), request, now_ms)

    def leave(
        self, group_id: str, members: Sequence[tuple[str, str | None]], now_ms: int
    ) -> Decision[list[LogServerError | None]]:
        """Decides on members that leave; the answer has one entry for each, in order.

        Raises:
            LogServerError: UNKNOWN_MEMBER_ID if there is no such group.
        """
        return self._membership.leave(self._existing(group_id, ""), members, now_ms)

    def is_alive(self, group: ClassicGroup, member_id: str, now_ms: int) -> None:
        """Takes in a sign of life of a member."""
        self._rebalances.live(group, member_id, group.members[member_id].session_timeout_ms, now_ms)

    def _existing(self, group_id: str, member_id: str) -> ClassicGroup:
        group = self.groups.get(group_id)
        if group is None:
            raise unknown_member(group_id, member_id)
        return group

    def due(self, key: TimerKey, now_ms: int) -> Iterator[Decision[None]]:
        """Yields what the end of a wait means."""
        group = self.groups.get(key[1])
        if group is None:
            self._timers.cancel(key)
        elif key[0] == SESSION:
            yield self._membership.session_is_over(group, key[2], now_ms)
        elif key[0] == JOINING:
            yield self._rebalances.joining_is_over(group, now_ms)
        else:
            yield self._rebalances.syncing_is_over(group, now_ms)

    def apply(self, group_id: str, value: GroupMetadataValue | None) -> None:
        """Takes in a record."""
        if value is None:
            group = self.groups.pop(group_id, None)
            for member_id in (*group.members, *group.pending) if group is not None else ():
                self._timers.cancel((SESSION, group_id, member_id))
            self._timers.cancel((JOINING, group_id))
            self._timers.cancel((SYNCING, group_id))
            return
        group = self.groups.get(group_id)
        if group is None:
            group = self.groups[group_id] = ClassicGroup(group_id)
        before = tuple(group.members)
        group.apply(value)
        for member_id in before:
            # Of a static member in whose place another one has come.
            if member_id not in group.members:
                self._timers.cancel((SESSION, group_id, member_id))

    def follow_up(self, group_id: str, now_ms: int) -> None:
        """Sets the timers that a record which has just been applied asks for."""
        group = self.groups.get(group_id)
        if group is not None and group.state is ClassicState.STABLE:
            self._rebalances.stable(group, now_ms)

    def loaded(self, now_ms: int) -> None:
        """Starts time for groups that have been read from the log."""
        for group in self.groups.values():
            self._membership.loaded(group, now_ms)
