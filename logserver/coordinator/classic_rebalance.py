"""Rebalances of classic groups: from a change of members to a generation that is stable.

Source: Apache Kafka: `GroupMetadataManager.prepareRebalance`, `completeClassicGroupJoin`.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from logserver.coordinator.classic_group import ClassicGroup, ClassicMember, ClassicState
from logserver.coordinator.classic_refusals import rebalancing
from logserver.coordinator.classic_requests import JoinAnswer, JoinedMember, Reply, SyncAnswer
from logserver.coordinator.decision import Decision, Entry
from logserver.coordinator.formats import GroupMetadataKey
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.timers import Timers

SESSION: Final = "classic session"
JOINING: Final = "classic joining"
SYNCING: Final = "classic syncing"


class Rebalances:
    """Begins, completes and ends rebalances, and keeps members' sessions; groups and time come with each call."""

    def __init__(self, limits: GroupLimits, timers: Timers) -> None:
        self._limits = limits
        self._timers = timers

    # Sessions

    def live(self, group: ClassicGroup, member_id: str, session_timeout_ms: int, now_ms: int) -> None:
        """Gives a member a whole session from here on."""
        self._timers.set((SESSION, group.group_id, member_id), now_ms + session_timeout_ms)

    def end_session(self, group: ClassicGroup, member_id: str) -> None:
        """Ends a session: the member has gone, or waits."""
        self._timers.cancel((SESSION, group.group_id, member_id))

    # Joining

    def prepare(self, group: ClassicGroup, now_ms: int) -> tuple[list[Reply], list[Entry]]:
        """Begins a rebalance, or goes on with the one under way."""
        if group.state is ClassicState.PREPARING:
            return self._complete_if_all_have_joined(group, now_ms)
        replies: list[Reply] = []
        again = rebalancing(group.group_id)
        for member in group.members.values():
            if member.is_syncing:
                member.is_syncing = False
                self.live(group, member.member_id, member.session_timeout_ms, now_ms)
                replies.append(Reply(group.group_id, member.member_id, SyncAnswer(again)))
        self._timers.cancel((SYNCING, group.group_id))
        group.awaited_syncs.clear()
        group.is_first = group.state is ClassicState.EMPTY
        group.move_to(ClassicState.PREPARING, now_ms)
        if not group.is_first:
            self._timers.set((JOINING, group.group_id), now_ms + group.rebalance_timeout_ms)
            more, entries = self._complete_if_all_have_joined(group, now_ms)
            return [*replies, *more], entries
        group.is_growing = False
        group.first_left_ms = group.rebalance_timeout_ms
        if self._waits_for_more(group, now_ms):
            return replies, []
        more, entries = self._complete(group, now_ms)
        return [*replies, *more], entries

    def _complete_if_all_have_joined(self, group: ClassicGroup, now_ms: int) -> tuple[list[Reply], list[Entry]]:
        if group.is_first or not group.all_have_joined:
            return [], []
        return self._complete(group, now_ms)

    def _waits_for_more(self, group: ClassicGroup, now_ms: int) -> bool:
        """Whether a group that was empty waits for more members (group.initial.rebalance.delay.ms), no longer than the
        rebalance timeout altogether."""
        delay_ms = min(self._limits.initial_rebalance_delay_ms, group.first_left_ms)
        if delay_ms:
            group.first_left_ms -= delay_ms
            self._timers.set((JOINING, group.group_id), now_ms + delay_ms)
        return delay_ms > 0

    def joining_is_over(self, group: ClassicGroup, now_ms: int) -> Decision[None]:
        """Ends the wait for members that have not joined again."""
        if group.state is not ClassicState.PREPARING:
            self._timers.cancel((JOINING, group.group_id))
            return Decision(None)
        if group.is_first and group.is_growing:
            group.is_growing = False
            if self._waits_for_more(group, now_ms):
                return Decision(None)
        replies, entries = self._complete(group, now_ms)
        return Decision(None, entries, group.group_id, replies=replies)

    def _complete(self, group: ClassicGroup, now_ms: int) -> tuple[list[Reply], list[Entry]]:
        """Begins the next generation with those who have joined."""
        for member in list(group.members.values()):
            # Static members keep their place for as long as their sessions last.
            if not member.is_joining and member.instance_id is None:
                group.remove(member.member_id)
                self.end_session(group, member.member_id)
        have_joined = [member for member in group.members.values() if member.is_joining]
        if group.members and not have_joined:
            self._timers.set((JOINING, group.group_id), now_ms + group.rebalance_timeout_ms)
            return [], []
        self._timers.cancel((JOINING, group.group_id))
        group.generation += 1
        if not group.members:
            group.protocol = group.leader = None
            group.move_to(ClassicState.EMPTY, now_ms)
            return [], [Entry(GroupMetadataKey(group.group_id), group.record({}))]
        leader = group.members.get(group.leader or "")
        if leader is None or not leader.is_joining:
            group.leader = have_joined[0].member_id
        group.protocol = group.select_protocol()
        group.move_to(ClassicState.COMPLETING, now_ms)
        group.awaited_syncs = set(group.members)
        self._timers.set((SYNCING, group.group_id), now_ms + group.rebalance_timeout_ms)
        replies = []
        for member in have_joined:
            member.is_joining = member.is_new = False
            replies.append(Reply(group.group_id, member.member_id, joined(group, member)))
            self.live(group, member.member_id, member.session_timeout_ms, now_ms)
        return replies, []

    # Syncing

    def has_synced(self, group: ClassicGroup, member_id: str) -> None:
        """Takes in that a member has its assignment."""
        group.awaited_syncs.discard(member_id)
        if not group.awaited_syncs:
            self._timers.cancel((SYNCING, group.group_id))

    def stable(self, group: ClassicGroup, now_ms: int) -> None:
        """Follows up a generation that has become stable: sessions of those who have waited count again, and members
        that have not asked for their assignment may still do so within the rebalance timeout."""
        for member in group.members.values():
            if member.is_syncing:
                member.is_syncing = False
                self.live(group, member.member_id, member.session_timeout_ms, now_ms)
            elif self._timers.deadline((SESSION, group.group_id, member.member_id)) is None:
                # It has come in the place of its former self.
                self.live(group, member.member_id, member.session_timeout_ms, now_ms)
        self.has_synced(group, group.leader or "")
        self.rebalance_without_leader(group, now_ms)

    def rebalance_without_leader(self, group: ClassicGroup, now_ms: int) -> None:
        """Begins the rebalance of a group that has members and no leader: it has just been a consumer group."""
        if group.members and group.leader is None:
            replies, entries = self.prepare(group, now_ms)
            assert not replies and not entries, "nobody has joined yet"

    def syncing_is_over(self, group: ClassicGroup, now_ms: int) -> Decision[None]:
        """Gives up members that have joined and never asked for their assignment."""
        self._timers.cancel((SYNCING, group.group_id))
        if group.state not in (ClassicState.COMPLETING, ClassicState.STABLE) or not group.awaited_syncs:
            return Decision(None)
        for member_id in tuple(group.awaited_syncs):
            group.remove(member_id)
            self.end_session(group, member_id)
        replies, entries = self.prepare(group, now_ms)
        return Decision(None, entries, group.group_id, replies=replies)


def joined(group: ClassicGroup, member: ClassicMember) -> JoinAnswer:
    """Returns what a member is told about the generation."""
    members = seen(group, group.members.values()) if member.member_id == group.leader else ()
    return JoinAnswer(
        member.member_id, None, group.generation, group.protocol_type, group.protocol, group.leader or "", members
    )


def seen(group: ClassicGroup, members: Iterable[ClassicMember]) -> Sequence[JoinedMember]:
    """Returns members as the leader sees them."""
    return [JoinedMember(member.member_id, member.instance_id, member.metadata(group.protocol)) for member in members]
