"""The classic protocol: joining, syncing, heartbeats, leaving.

Source: Apache Kafka: `GroupMetadataManager.classicGroupJoin` and its neighbours; KIP-62, KIP-345 (static members),
KIP-394 (member ids first), KIP-800, KIP-814.

Unlike consumer groups, a classic group changes while decisions are made, because the steps of a rebalance are never
written; a generation counts once its record is applied.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from logserver.coordinator.classic_group import ClassicGroup, ClassicMember, ClassicState
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
from logserver.coordinator.timers import Timers
from logserver.errors import ErrorCode, LogServerError

T = TypeVar("T")

SESSION: Final = "classic session"
JOINING: Final = "classic joining"
SYNCING: Final = "classic syncing"

_NEW_MEMBER_MS: Final = 5 * 60_000
"""How long a new member's first JoinGroup waits. Its client may have gone, and come again as another new one: nobody
sees that while the request waits. Kafka's time."""


class ClassicMembership:
    """Decides on the requests of members; groups and time come with each call."""

    def __init__(self, limits: GroupLimits, timers: Timers) -> None:
        self._limits = limits
        self._timers = timers

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
        member = self._find(group, request.member_id, request.instance_id)
        return self._join_again(group, request, member, now_ms)

    def _check_join(self, group: ClassicGroup, request: JoinGroup) -> None:
        low, high = self._limits.min_session_timeout_ms, self._limits.max_session_timeout_ms
        if not low <= request.session_timeout_ms <= high:
            raise LogServerError(
                ErrorCode.invalid_session_timeout,
                f"the session timeout is group.min.session.timeout.ms={low} to group.max.session.timeout.ms={high} "
                f"milliseconds, not {request.session_timeout_ms}",
            )
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
            self._live(group, request.new_member_id, request.session_timeout_ms, now_ms)
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
        self._live(group, member_id, _NEW_MEMBER_MS, now_ms)
        return self._rebalance(group, Later(member_id), now_ms)

    def _join_again(
        self, group: ClassicGroup, request: JoinGroup, member: ClassicMember, now_ms: int
    ) -> Decision[JoinAnswer | Later]:
        is_same = list(member.protocols) == list(request.protocols)
        if group.state is ClassicState.COMPLETING and is_same:
            # It has not got the answer to its last one.
            return Decision(self._joined(group, member))
        if group.state is ClassicState.STABLE and is_same and member.member_id != group.leader:
            return Decision(self._joined(group, member))
        if group.state is ClassicState.EMPTY:
            raise unknown_member(group.group_id, member.member_id)
        self._update(member, request)
        self._live(group, member.member_id, member.session_timeout_ms, now_ms)
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
        fenced = LogServerError(
            ErrorCode.fenced_instance_id,
            f"another member of the group {group.group_id!r} has taken the instance id {request.instance_id!r}",
        )
        replies: list[Reply] = []
        if former.is_joining:
            replies.append(Reply(group.group_id, former_id, JoinAnswer(former_id, fenced)))
        if former.is_syncing:
            replies.append(Reply(group.group_id, former_id, SyncAnswer(fenced)))
        was_leader = group.leader == former_id
        group.remove(former_id)
        self._timers.cancel((SESSION, group.group_id, former_id))
        former.member_id = request.new_member_id
        former.is_syncing = False
        self._update(former, request)
        group.add(former)
        if was_leader:
            group.leader = former.member_id
        self._live(group, former.member_id, request.session_timeout_ms, now_ms)
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
            members = _seen(group, (*found, successor))
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

    def _joined(self, group: ClassicGroup, member: ClassicMember) -> JoinAnswer:
        """Returns what a member is told about the generation."""
        members = _seen(group, group.members.values()) if member.member_id == group.leader else ()
        return JoinAnswer(
            member.member_id, None, group.generation, group.protocol_type, group.protocol, group.leader or "", members
        )

    # Rebalances

    def _rebalance(self, group: ClassicGroup, answer: JoinAnswer | Later, now_ms: int) -> Decision[JoinAnswer | Later]:
        replies, entries = self.prepare(group, now_ms)
        return Decision(answer, entries, group.group_id, replies=replies)

    def prepare(self, group: ClassicGroup, now_ms: int) -> tuple[list[Reply], list[Entry]]:
        """Begins a rebalance, or goes on with the one under way."""
        if group.state is ClassicState.PREPARING:
            return self._complete_if_all_have_joined(group, now_ms)
        replies: list[Reply] = []
        again = LogServerError(
            ErrorCode.rebalance_in_progress, f"the group {group.group_id!r} is rebalancing; join again"
        )
        for member in group.members.values():
            if member.is_syncing:
                member.is_syncing = False
                self._live(group, member.member_id, member.session_timeout_ms, now_ms)
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
                self._timers.cancel((SESSION, group.group_id, member.member_id))
        joined = [member for member in group.members.values() if member.is_joining]
        if group.members and not joined:
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
            group.leader = joined[0].member_id
        group.protocol = group.select_protocol()
        group.move_to(ClassicState.COMPLETING, now_ms)
        group.awaited_syncs = set(group.members)
        self._timers.set((SYNCING, group.group_id), now_ms + group.rebalance_timeout_ms)
        replies = []
        for member in joined:
            member.is_joining = member.is_new = False
            replies.append(Reply(group.group_id, member.member_id, self._joined(group, member)))
            self._live(group, member.member_id, member.session_timeout_ms, now_ms)
        return replies, []

    # SyncGroup

    def sync(self, group: ClassicGroup, request: SyncGroup, now_ms: int) -> Decision[SyncAnswer | Later]:
        """Decides on a SyncGroup.

        Raises:
            LogServerError: the member is not one of this generation.
        """
        member = self._find(group, request.member_id, request.instance_id)
        _check_generation(group, request.generation)
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
                raise _rebalancing(group)
            case ClassicState.STABLE:
                self._has_synced(group, member.member_id)
                self._live(group, member.member_id, member.session_timeout_ms, now_ms)
                return Decision(self._synced(group, member.assignment))
            case ClassicState.COMPLETING:
                pass
        if member.member_id != group.leader:
            member.is_syncing = True
            group.awaited_syncs.discard(member.member_id)
            self._timers.cancel((SESSION, group.group_id, member.member_id))
            return Decision(Later(member.member_id))
        # It counts once it is in the log: until then everybody waits, and the leader is awaited.
        entry = Entry(GroupMetadataKey(group.group_id), group.record(request.assignments))
        replies = [
            Reply(
                group.group_id, waiting.member_id, self._synced(group, request.assignments.get(waiting.member_id, b""))
            )
            for waiting in group.members.values()
            if waiting.is_syncing
        ]
        own = self._synced(group, request.assignments.get(member.member_id, b""))
        self._live(group, member.member_id, member.session_timeout_ms, now_ms)
        return Decision(own, (entry,), group.group_id, replies=replies)

    def _has_synced(self, group: ClassicGroup, member_id: str) -> None:
        group.awaited_syncs.discard(member_id)
        if not group.awaited_syncs:
            self._timers.cancel((SYNCING, group.group_id))

    @staticmethod
    def _synced(group: ClassicGroup, assignment: bytes) -> SyncAnswer:
        return SyncAnswer(None, group.protocol_type, group.protocol, assignment)

    def stable(self, group: ClassicGroup, now_ms: int) -> None:
        """Follows up a generation that has become stable: sessions of those who have waited count again, and members
        that have not asked for their assignment may still do so within the rebalance timeout."""
        for member in group.members.values():
            if member.is_syncing:
                member.is_syncing = False
                self._live(group, member.member_id, member.session_timeout_ms, now_ms)
            elif self._timers.deadline((SESSION, group.group_id, member.member_id)) is None:
                # It has come in the place of its former self.
                self._live(group, member.member_id, member.session_timeout_ms, now_ms)
        self._has_synced(group, group.leader or "")

    def syncing_is_over(self, group: ClassicGroup, now_ms: int) -> Decision[None]:
        """Gives up members that have joined and never asked for their assignment."""
        self._timers.cancel((SYNCING, group.group_id))
        if group.state not in (ClassicState.COMPLETING, ClassicState.STABLE) or not group.awaited_syncs:
            return Decision(None)
        for member_id in tuple(group.awaited_syncs):
            group.remove(member_id)
            self._timers.cancel((SESSION, group.group_id, member_id))
        replies, entries = self.prepare(group, now_ms)
        return Decision(None, entries, group.group_id, replies=replies)

    # Heartbeat, LeaveGroup, sessions

    def heartbeat(self, group: ClassicGroup, request: MemberOfGroup, now_ms: int) -> Decision[None]:
        """Decides on a Heartbeat.

        Raises:
            LogServerError: REBALANCE_IN_PROGRESS, or the member is not one of this generation.
        """
        member = self._find(group, request.member_id, request.instance_id)
        _check_generation(group, request.generation)
        if group.state is ClassicState.EMPTY:
            raise unknown_member(group.group_id, member.member_id)
        self._live(group, member.member_id, member.session_timeout_ms, now_ms)
        if group.state is ClassicState.PREPARING:
            raise _rebalancing(group)
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
                    self._timers.cancel((SESSION, group.group_id, member_id))
                    answers.append(None)
                    continue
                else:
                    found = self._find(group, member_id, instance_id)
            except LogServerError as error:
                answers.append(error)
                continue
            answers.append(None)
            replies += self._removed(group, found)
            has_changed = True
        return self._after_removal(group, answers, replies, now_ms, has_changed=has_changed)

    def session_is_over(self, group: ClassicGroup, member_id: str, now_ms: int) -> Decision[None]:
        """Gives up a member that was silent for too long, or never came back with the id it was given."""
        self._timers.cancel((SESSION, group.group_id, member_id))
        member = group.members.get(member_id)
        if member is None:
            group.pending.discard(member_id)
            return self._after_removal(group, None, [], now_ms, has_changed=False)
        if (member.is_joining or member.is_syncing) and not member.is_new:
            # It is the one who waits.
            self._live(group, member_id, member.session_timeout_ms, now_ms)
            return Decision(None)
        return self._after_removal(group, None, self._removed(group, member), now_ms, has_changed=True)

    def _removed(self, group: ClassicGroup, member: ClassicMember) -> list[Reply]:
        group.remove(member.member_id)
        self._timers.cancel((SESSION, group.group_id, member.member_id))
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
            more, entries = self.prepare(group, now_ms)
        return Decision(answer, entries, group.group_id, replies=[*replies, *more])

    # Members

    def is_alive(self, group: ClassicGroup, member: ClassicMember, now_ms: int) -> None:
        """Takes in a sign of life of a member."""
        self._live(group, member.member_id, member.session_timeout_ms, now_ms)

    def _live(self, group: ClassicGroup, member_id: str, session_timeout_ms: int, now_ms: int) -> None:
        self._timers.set((SESSION, group.group_id, member_id), now_ms + session_timeout_ms)

    @staticmethod
    def _find(group: ClassicGroup, member_id: str, instance_id: str | None) -> ClassicMember:
        if instance_id is not None:
            known = group.instances.get(instance_id)
            if known is None:
                raise unknown_member(group.group_id, member_id)
            if known != member_id:
                raise LogServerError(
                    ErrorCode.fenced_instance_id,
                    f"another member of the group {group.group_id!r} has taken the instance id {instance_id!r}",
                )
        member = group.members.get(member_id)
        if member is None:
            raise unknown_member(group.group_id, member_id)
        return member

    def loaded(self, group: ClassicGroup, now_ms: int) -> None:
        """Starts time for a group that has been read from the log: every member gets a whole session."""
        for member in group.members.values():
            self._live(group, member.member_id, member.session_timeout_ms, now_ms)
        if len(group.members) > self._limits.classic_max_members:
            # The setting has changed: they join again as long as there is room.
            self.prepare(group, now_ms)


def _seen(group: ClassicGroup, members: Iterable[ClassicMember]) -> Sequence[JoinedMember]:
    """Returns members as the leader sees them."""
    return [JoinedMember(member.member_id, member.instance_id, member.metadata(group.protocol)) for member in members]


def check_committer(group: ClassicGroup, request: MemberOfGroup) -> None:
    """Checks who commits offsets.

    Raises:
        LogServerError: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS.
    """
    if request.generation < 0 and group.state is ClassicState.EMPTY:
        return
    if request.generation >= 0 or request.member_id or request.instance_id is not None:
        ClassicMembership._find(group, request.member_id, request.instance_id)
        _check_generation(group, request.generation)
    else:
        raise unknown_member(group.group_id, request.member_id)
    if group.state is ClassicState.COMPLETING:
        raise _rebalancing(group)


def unknown_member(group_id: str, member_id: str) -> LogServerError:
    """The error of a member that is none (any more)."""
    return LogServerError(
        ErrorCode.unknown_member_id, f"the group {group_id!r} has no member {member_id[:100]!r}; join again"
    )


def _check_generation(group: ClassicGroup, generation: int) -> None:
    if generation != group.generation:
        raise LogServerError(
            ErrorCode.illegal_generation,
            f"the group {group.group_id!r} is in generation {group.generation}, not {generation}; join again",
        )


def _rebalancing(group: ClassicGroup) -> LogServerError:
    return LogServerError(ErrorCode.rebalance_in_progress, f"the group {group.group_id!r} is rebalancing; join again")
