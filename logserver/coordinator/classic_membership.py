"""The classic protocol: joining, syncing, heartbeats, leaving.

Source: Apache Kafka: `GroupMetadataManager.classicGroupJoin` and its neighbours; KIP-62, KIP-345 (static members),
KIP-394 (member ids first), KIP-800, KIP-814.

Unlike consumer groups, a classic group changes while decisions are made, because the steps of a rebalance are never
written; a generation counts once its record is applied.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

from logserver.coordinator.classic_group import ClassicGroup, ClassicMember, ClassicState
from logserver.coordinator.classic_rebalance import Rebalances, joined, seen
from logserver.coordinator.classic_refusals import (
    check_generation,
    check_session_timeout,
    fenced_instance,
    find_member,
    rebalancing,
    unknown_member,
)
from logserver.coordinator.classic_requests import (
    JoinAnswer,
    JoinedMember,
    JoinGroup,
    Later,
    MemberOfGroup,
    Reply,
    SyncAnswer,
    SyncGroup,
)
from logserver.coordinator.decision import Decision, Entry
from logserver.coordinator.formats import GroupMetadataKey
from logserver.coordinator.limits import GroupLimits
from logserver.errors import ErrorCode, LogServerError

T = TypeVar("T")

_NEW_MEMBER_MS: Final = 5 * 60_000
"""How long a new member's first JoinGroup waits. Its client may have gone, and come again as another new one: nobody
sees that while the request waits. Kafka's time."""


class ClassicMembership:
    """Decides on the requests of members; groups and time come with each call."""

    def __init__(self, limits: GroupLimits, rebalances: Rebalances) -> None:
        self._limits = limits
        self._rebalances = rebalances

    # JoinGroup

    def join(self, group: ClassicGroup, request: JoinGroup, now_ms: int) -> Decision[JoinAnswer | Later]:
        """Decides on a JoinGroup.

        Raises:
            LogServerError: the member can't join.
        """
        self._check_join(group, request)
        if not request.member_id:
            return self._join_new(group, request, now_ms)
        if request.member_id in group.pending:
            if request.instance_id is not None:
                raise LogServerError(
                    ErrorCode.invalid_request,
                    f"the member id {request.member_id[:100]!r} was given to a member without an instance id",
                )
            return self._add(group, request, request.member_id, now_ms)
        member = find_member(group, request.member_id, request.instance_id)
        return self._join_again(group, request, member, now_ms)

    def _check_join(self, group: ClassicGroup, request: JoinGroup) -> None:
        check_session_timeout(self._limits, request.session_timeout_ms)
        if not self._has_room(group, request):
            raise LogServerError(
                ErrorCode.group_max_size_reached,
                f"the group {group.group_id!r} has group.max.size={self._limits.classic_max_members} members already",
            )
        names = [name for name, _ in request.protocols]
        if not group.supports(request.protocol_type, names):
            raise LogServerError(
                ErrorCode.inconsistent_group_protocol,
                f"the group {group.group_id!r} is of the type {group.protocol_type!r} with the assignors "
                f"{', '.join(sorted(group.common_protocols())) or 'none'}; a member of the type "
                f"{request.protocol_type!r} with {', '.join(names[:10]) or 'none'} does not fit",
            )

    def _has_room(self, group: ClassicGroup, request: JoinGroup) -> bool:
        most = self._limits.classic_max_members
        member = group.members.get(request.member_id)
        if member is not None and group.state is ClassicState.PREPARING and not member.is_joining:
            # Where there are too many, because the setting has changed, the last ones to join again have to go.
            return sum(found.is_joining for found in group.members.values()) < most
        if member is not None or request.member_id in group.pending or request.instance_id in group.instances:
            return True
        return len(group.members) + len(group.pending) < most

    def _join_new(self, group: ClassicGroup, request: JoinGroup, now_ms: int) -> Decision[JoinAnswer | Later]:
        if request.instance_id is not None:
            former = group.instances.get(request.instance_id)
            if former is not None:
                return self._replace(group, request, former, now_ms)
        elif request.needs_member_id:
            group.pending.add(request.new_member_id)
            self._rebalances.live(group, request.new_member_id, request.session_timeout_ms, now_ms)
            error = LogServerError(ErrorCode.member_id_required, "join again with this member id")
            return Decision(JoinAnswer(request.new_member_id, error))
        return self._add(group, request, request.new_member_id, now_ms)

    def _add(
        self, group: ClassicGroup, request: JoinGroup, member_id: str, now_ms: int
    ) -> Decision[JoinAnswer | Later]:
        member = ClassicMember(
            member_id,
            request.instance_id,
            request.client_id,
            request.client_host,
            request.session_timeout_ms,
            request.rebalance_timeout_ms,
            tuple(request.protocols),
            is_joining=True,
            is_new=True,
        )
        if not group.members:
            group.protocol_type = request.protocol_type
        group.add(member)
        if group.leader is None:
            group.leader = member_id
        group.is_growing = True
        self._rebalances.live(group, member_id, _NEW_MEMBER_MS, now_ms)
        return self._rebalance(group, Later(member_id), now_ms)

    def _join_again(
        self, group: ClassicGroup, request: JoinGroup, member: ClassicMember, now_ms: int
    ) -> Decision[JoinAnswer | Later]:
        is_same = list(member.protocols) == list(request.protocols)
        if group.state is ClassicState.COMPLETING and is_same:
            # It has not got the answer to its last one.
            return Decision(joined(group, member))
        if group.state is ClassicState.STABLE and is_same and member.member_id != group.leader:
            return Decision(joined(group, member))
        if group.state is ClassicState.EMPTY:
            raise unknown_member(group.group_id, member.member_id)
        self._update(member, request)
        self._rebalances.live(group, member.member_id, member.session_timeout_ms, now_ms)
        return self._rebalance(group, Later(member.member_id), now_ms)

    def _replace(
        self, group: ClassicGroup, request: JoinGroup, former_id: str, now_ms: int
    ) -> Decision[JoinAnswer | Later]:
        """A static member comes back under a new member id: the one before is fenced."""
        former = group.members[former_id]
        if group.state is ClassicState.STABLE:
            successor = replace(former, member_id=request.new_member_id)
            self._update(successor, request)
            successor.is_joining = False
            others = [member for member in group.members.values() if member is not former]
            if group.select_protocol((*others, successor)) == group.protocol:
                return self._succeed(group, request, former, successor)
        fenced = fenced_instance(group.group_id, request.instance_id)
        replies: list[Reply] = []
        if former.is_joining:
            replies.append(Reply(group.group_id, former_id, JoinAnswer(former_id, fenced)))
        if former.is_syncing:
            replies.append(Reply(group.group_id, former_id, SyncAnswer(fenced)))
        was_leader = group.leader == former_id
        group.remove(former_id)
        self._rebalances.end_session(group, former_id)
        former.member_id = request.new_member_id
        former.is_syncing = False
        self._update(former, request)
        group.add(former)
        if was_leader:
            group.leader = former.member_id
        self._rebalances.live(group, former.member_id, request.session_timeout_ms, now_ms)
        decision = self._rebalance(group, Later(former.member_id), now_ms)
        return replace(decision, replies=[*replies, *decision.replies])

    def _succeed(
        self, group: ClassicGroup, request: JoinGroup, former: ClassicMember, successor: ClassicMember
    ) -> Decision[JoinAnswer | Later]:
        """A static member comes back to a stable generation: nothing changes for the others."""
        assignments = {**group.assignments(), successor.member_id: successor.assignment}
        entry = Entry(GroupMetadataKey(group.group_id), group.record(assignments, successor))
        group.successors[successor.member_id] = successor
        leader = group.leader or ""
        members: Sequence[JoinedMember] = ()
        if former.member_id == leader and request.may_skip_assignment:
            # One that can't be told to assign nothing takes its former self for the leader.
            leader = successor.member_id
            found = [member for member in group.members.values() if member is not former]
            members = seen(group, (*found, successor))
        answer = JoinAnswer(
            successor.member_id,
            None,
            group.generation,
            group.protocol_type,
            group.protocol,
            leader,
            members,
            skip_assignment=bool(members),
        )
        return Decision(answer, (entry,), group.group_id)

    @staticmethod
    def _update(member: ClassicMember, request: JoinGroup) -> None:
        member.protocols = tuple(request.protocols)
        member.session_timeout_ms = request.session_timeout_ms
        member.rebalance_timeout_ms = request.rebalance_timeout_ms
        member.client_id, member.client_host = request.client_id, request.client_host
        member.is_joining = True

    # Rebalances

    def _rebalance(self, group: ClassicGroup, answer: JoinAnswer | Later, now_ms: int) -> Decision[JoinAnswer | Later]:
        replies, entries = self._rebalances.prepare(group, now_ms)
        return Decision(answer, entries, group.group_id, replies=replies)

    # SyncGroup

    def sync(self, group: ClassicGroup, request: SyncGroup, now_ms: int) -> Decision[SyncAnswer | Later]:
        """Decides on a SyncGroup.

        Raises:
            LogServerError: the member is not one of this generation.
        """
        member = find_member(group, request.member_id, request.instance_id)
        check_generation(group.group_id, group.generation, request.generation)
        if request.protocol_type not in (None, group.protocol_type) or request.protocol not in (None, group.protocol):
            raise LogServerError(
                ErrorCode.inconsistent_group_protocol,
                f"the group {group.group_id!r} goes by {group.protocol_type!r} {group.protocol!r}, not by "
                f"{request.protocol_type!r} {request.protocol!r}",
            )
        match group.state:
            case ClassicState.EMPTY:
                raise unknown_member(group.group_id, member.member_id)
            case ClassicState.PREPARING:
                raise rebalancing(group.group_id)
            case ClassicState.STABLE:
                self._rebalances.has_synced(group, member.member_id)
                self._rebalances.live(group, member.member_id, member.session_timeout_ms, now_ms)
                return Decision(_synced(group, member.assignment))
            case ClassicState.COMPLETING:
                pass
        if member.member_id != group.leader:
            member.is_syncing = True
            group.awaited_syncs.discard(member.member_id)
            self._rebalances.end_session(group, member.member_id)
            return Decision(Later(member.member_id))
        # It counts once it is in the log: until then everybody waits, and the leader is awaited.
        entry = Entry(GroupMetadataKey(group.group_id), group.record(request.assignments))
        replies = [
            Reply(group.group_id, waiting.member_id, _synced(group, request.assignments.get(waiting.member_id, b"")))
            for waiting in group.members.values()
            if waiting.is_syncing
        ]
        own = _synced(group, request.assignments.get(member.member_id, b""))
        self._rebalances.live(group, member.member_id, member.session_timeout_ms, now_ms)
        return Decision(own, (entry,), group.group_id, replies=replies)

    # Heartbeat, LeaveGroup, sessions

    def heartbeat(self, group: ClassicGroup, request: MemberOfGroup, now_ms: int) -> Decision[None]:
        """Decides on a Heartbeat.

        Raises:
            LogServerError: REBALANCE_IN_PROGRESS, or the member is not one of this generation.
        """
        member = find_member(group, request.member_id, request.instance_id)
        check_generation(group.group_id, group.generation, request.generation)
        if group.state is ClassicState.EMPTY:
            raise unknown_member(group.group_id, member.member_id)
        self._rebalances.live(group, member.member_id, member.session_timeout_ms, now_ms)
        if group.state is ClassicState.PREPARING:
            raise rebalancing(group.group_id)
        return Decision(None)

    def leave(
        self, group: ClassicGroup, members: Sequence[tuple[str, str | None]], now_ms: int
    ) -> Decision[list[LogServerError | None]]:
        """Decides on members that leave; the answer has one entry for each, in order.

        Args:
            members: member id (may be empty for a static member that somebody removes) and instance id.
        """
        answers: list[LogServerError | None] = []
        replies: list[Reply] = []
        has_changed = False
        for member_id, instance_id in members:
            try:
                if instance_id is not None and not member_id:
                    found = group.members.get(group.instances.get(instance_id, ""))
                    if found is None:
                        raise unknown_member(group.group_id, member_id)
                elif member_id in group.pending:
                    group.remove(member_id)
                    self._rebalances.end_session(group, member_id)
                    answers.append(None)
                    continue
                else:
                    found = find_member(group, member_id, instance_id)
            except LogServerError as error:
                answers.append(error)
                continue
            answers.append(None)
            replies += self._removed(group, found)
            has_changed = True
        return self._after_removal(group, answers, replies, now_ms, has_changed=has_changed)

    def session_is_over(self, group: ClassicGroup, member_id: str, now_ms: int) -> Decision[None]:
        """Gives up a member that was silent for too long, or never came back with the id it was given."""
        self._rebalances.end_session(group, member_id)
        member = group.members.get(member_id)
        if member is None:
            group.pending.discard(member_id)
            return self._after_removal(group, None, [], now_ms, has_changed=False)
        if (member.is_joining or member.is_syncing) and not member.is_new:
            # It is the one who waits.
            self._rebalances.live(group, member_id, member.session_timeout_ms, now_ms)
            return Decision(None)
        return self._after_removal(group, None, self._removed(group, member), now_ms, has_changed=True)

    def _removed(self, group: ClassicGroup, member: ClassicMember) -> list[Reply]:
        group.remove(member.member_id)
        self._rebalances.end_session(group, member.member_id)
        error = unknown_member(group.group_id, member.member_id)
        replies = []
        if member.is_joining:
            replies.append(Reply(group.group_id, member.member_id, JoinAnswer("", error)))
        if member.is_syncing:
            replies.append(Reply(group.group_id, member.member_id, SyncAnswer(error)))
        return replies

    def _after_removal(
        self, group: ClassicGroup, answer: T, replies: list[Reply], now_ms: int, *, has_changed: bool
    ) -> Decision[T]:
        """Goes on after members, or who was about to become one, have gone.

        Args:
            has_changed: whether any of them was a member.
        """
        more: list[Reply] = []
        entries: list[Entry] = []
        if group.state is ClassicState.PREPARING or (has_changed and group.state is not ClassicState.EMPTY):
            more, entries = self._rebalances.prepare(group, now_ms)
        return Decision(answer, entries, group.group_id, replies=[*replies, *more])

    # Members

    def loaded(self, group: ClassicGroup, now_ms: int) -> None:
        """Starts time for a group that has been read from the log: every member gets a whole session."""
        for member in group.members.values():
            self._rebalances.live(group, member.member_id, member.session_timeout_ms, now_ms)
        self._rebalances.rebalance_without_leader(group, now_ms)
        if len(group.members) > self._limits.classic_max_members:
            # The setting has changed: they join again as long as there is room.
            self._rebalances.prepare(group, now_ms)


def _synced(group: ClassicGroup, assignment: bytes) -> SyncAnswer:
    return SyncAnswer(None, group.protocol_type, group.protocol, assignment)
