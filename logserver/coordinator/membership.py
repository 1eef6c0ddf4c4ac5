"""Joining, staying in and leaving a consumer group: the decisions on members' requests.

Source: KIP-848; Apache Kafka: `GroupMetadataManager.consumerGroupHeartbeat`.

A member's epoch tells where it stands: 0 joins, -1 leaves, -2 leaves to come back (static members), and otherwise it is
the epoch that the coordinator told last. Nothing here changes a group: decisions hold what to write, and the group
changes when that is applied.
"""

from collections.abc import Iterable

from logserver.coordinator.consumer_group import ConsumerGroup
from logserver.coordinator.decision import Decision, Entry, Wake
from logserver.coordinator.formats import ConsumerGroupCurrentMemberAssignmentKey, MemberState
from logserver.coordinator.group_changes import GroupChanges
from logserver.coordinator.limits import GroupLimits
from logserver.coordinator.member import AWAY, JOINING, LEAVING, Member
from logserver.coordinator.reconcile import reconcile
from logserver.coordinator.regex import compile_pattern
from logserver.coordinator.requests import Heartbeat, HeartbeatAnswer
from logserver.errors import ErrorCode, LogServerError

INT32_MAX = 2**31 - 1
_MOST_ID_BYTES = 1_000


class Membership:
    """Decides on members' requests; groups and time come with each call."""

    def __init__(self, limits: GroupLimits, changes: GroupChanges) -> None:
        self._limits = limits
        self._changes = changes

    # Heartbeats

    def heartbeat(self, group: ConsumerGroup, request: Heartbeat, now_ms: int) -> Decision[HeartbeatAnswer]:
        """Decides on a heartbeat, which may join or leave.

        Args:
            group: as it is; a new one for the first member.

        Raises:
            LogServerError: the request makes no sense, or the member can't be one (any more).
        """
        self.check(request)
        if request.member_epoch in (LEAVING, AWAY):
            return self._leave(group, request, now_ms)
        entries: list[Entry] = []
        former, before = self._find(group, request, entries)
        # Who joins owns nothing, whether it says so or not.
        owned = frozenset() if request.member_epoch == JOINING else request.owned
        if before.state is MemberState.UNKNOWN and (owned is None or owned):
            raise LogServerError(
                ErrorCode.fenced_member_epoch,
                f"the member {before.member_id[:100]!r} is in a state that only a later release knows; it has to give "
                "up all its partitions and join again",
            )
        member = _updated(before, request)
        after, changes, wake = self._changes.take_in(group, former, before, member, owned, now_ms)
        entries += changes
        told = request.member_epoch == JOINING or _is_full(request) or after.assigned.keys() != before.assigned.keys()
        answer = HeartbeatAnswer(after.member_id, after.epoch, after.assigned if told else None)
        return Decision(answer, entries, group.group_id, wake)

    def look_again(self, group: ConsumerGroup, member_id: str) -> Decision[HeartbeatAnswer | None]:
        """Takes a member's next step, if there is one that needs no word of the member.

        Raises:
            LogServerError: UNKNOWN_MEMBER_ID.
        """
        member = group.members.get(member_id)
        if member is None:
            raise _unknown(group, member_id)
        if member.is_away or member.classic is not None:
            # The one has to come back first, the other to join again.
            return Decision(None)
        after = reconcile(member, group.target(member_id), group.assignment_epoch, group.owners)
        if after is member:
            return Decision(None)
        entry = Entry(ConsumerGroupCurrentMemberAssignmentKey(group.group_id, member_id), after.current())
        # As long as it waits and gets nothing new, there is nothing to tell.
        is_told = after.epoch != member.epoch or after.assigned.keys() != member.assigned.keys()
        answer = HeartbeatAnswer(member_id, after.epoch, after.assigned) if is_told else None
        return Decision(answer, (entry,), group.group_id, Wake.NOBODY)

    def check(self, request: Heartbeat) -> None:
        """Checks whether a heartbeat makes sense, whatever the group.

        Raises:
            LogServerError: it does not.
        """
        check_id("group id", request.group_id)
        check_id("member id", request.member_id)
        if request.instance_id is not None:
            check_id("instance id", request.instance_id)
        if request.rack_id is not None:
            check_id("rack id", request.rack_id)
        if not AWAY <= request.member_epoch <= INT32_MAX:
            raise _invalid(f"the member epoch {request.member_epoch} has no meaning; it is -2 to {INT32_MAX}")
        if request.member_epoch == AWAY and request.instance_id is None:
            raise _invalid("only a static member, which has an instance id, can leave to come back (member epoch -2)")
        if request.member_epoch == JOINING:
            if request.rebalance_timeout_ms is None:
                raise _invalid("a member that joins has to say its rebalance timeout")
            if request.owned:
                raise _invalid("a member that joins (member epoch 0) owns nothing yet")
            if request.subscription is None:
                raise _invalid("a member that joins has to say what it subscribes to")
            # It may subscribe to nothing: Java's clients do so before they know which topics match their pattern, and
            # in the heartbeat by which they leave.
        if request.rebalance_timeout_ms is not None and not 1 <= request.rebalance_timeout_ms <= INT32_MAX:
            raise _invalid(
                f"the rebalance timeout is 1 to {INT32_MAX} milliseconds, not {request.rebalance_timeout_ms}"
            )
        if request.assignor is not None and request.assignor not in self._limits.assignors:
            raise LogServerError(
                ErrorCode.unsupported_assignor,
                f"there is no assignor {request.assignor[:60]!r} here, only {', '.join(self._limits.assignors)} "
                "(group.consumer.assignors)",
            )
        if request.subscription is not None:
            for name in request.subscription.topics:
                check_id("topic name", name)
            if request.subscription.pattern:
                compile_pattern(request.subscription.pattern)

    def _find(self, group: ConsumerGroup, request: Heartbeat, entries: list[Entry]) -> tuple[str, Member]:
        """Returns the member that a heartbeat is of, a new one or one whose epoch is right, and the id it had so far.

        Adds what has to be written where a static member takes the place of its former self.
        """
        if request.instance_id is None:
            member = group.members.get(request.member_id)
            if member is None:
                if request.member_epoch != JOINING:
                    raise _unknown(group, request.member_id)
                return request.member_id, Member(request.member_id)
            if member.classic is not None and request.member_epoch != JOINING:
                raise _unknown(group, request.member_id)
            # A static one, too, names its instance id only where that is new, as it does everything else: librdkafka's.
        else:
            static = group.static_member(request.instance_id)
            if static is None or static.member_id != request.member_id:
                return self._find_static(group, request, static, entries)
            if static.classic is not None and request.member_epoch != JOINING:
                raise _unknown(group, request.member_id)
            member = static
        if request.member_epoch != JOINING:
            _check_epoch(member, request)
        elif member.is_away:
            member = member._replace(epoch=JOINING, previous_epoch=JOINING)
        return member.member_id, member

    @staticmethod
    def _find_static(
        group: ConsumerGroup, request: Heartbeat, static: Member | None, entries: list[Entry]
    ) -> tuple[str, Member]:
        """Returns the static member that comes under a member id which its instance id does not have yet."""
        assert request.instance_id is not None
        if static is None:
            if request.member_epoch != JOINING or request.member_id in group.members:
                raise LogServerError(
                    ErrorCode.unknown_member_id,
                    f"the group {group.group_id!r} has no member with the instance id {request.instance_id!r} "
                    f"and the id {request.member_id!r}",
                )
            return request.member_id, Member(request.member_id)
        if request.member_epoch != JOINING:
            raise _fenced(group, request.instance_id)
        # One that has used the classic protocol does not say that it leaves to come back.
        if not static.is_away and static.classic is None:
            raise LogServerError(
                ErrorCode.unreleased_instance_id,
                f"the instance id {request.instance_id!r} is in use in the group {group.group_id!r} by "
                f"{static.member_id!r}; it is free when that member leaves or its session ends",
            )
        if request.member_id in group.members:
            raise _invalid(f"the member id {request.member_id!r} is another member's of the group {group.group_id!r}")
        member, changes = GroupChanges.succeed(group, static, request.member_id)
        entries += changes
        return static.member_id, member

    # Leaving

    def _leave(self, group: ConsumerGroup, request: Heartbeat, now_ms: int) -> Decision[HeartbeatAnswer]:
        answer = HeartbeatAnswer(request.member_id, request.member_epoch, None)
        member = group.members.get(request.member_id)
        if request.instance_id is not None:
            static = group.static_member(request.instance_id)
            if static is not None and static.member_id != request.member_id:
                raise _fenced(group, request.instance_id)
            member = static
        if member is None or member.classic is not None:
            raise _unknown(group, request.member_id)
        if request.member_epoch == AWAY:
            away = member._replace(epoch=AWAY, revoking={})
            entry = Entry(ConsumerGroupCurrentMemberAssignmentKey(group.group_id, member.member_id), away.current())
            return Decision(answer, (entry,), group.group_id, Wake.WAITING if member.revoking else Wake.NOBODY)
        return Decision(answer, self._changes.removal(group, (member.member_id,), now_ms), group.group_id, Wake.WAITING)

    def remove(
        self, group: ConsumerGroup, members: Iterable[tuple[str, str | None]], now_ms: int
    ) -> Decision[list[LogServerError | None]]:
        """Decides on members that somebody removes; the answer has one entry for each, in order.

        Args:
            members: member id (may be empty for a static member) and instance id.
        """
        answers: list[LogServerError | None] = []
        found: dict[str, None] = {}
        for member_id, instance_id in members:
            member = group.members.get(member_id) if instance_id is None else group.static_member(instance_id)
            if member is None:
                answers.append(_unknown(group, member_id))
            elif member_id and member.member_id != member_id:
                answers.append(_fenced(group, instance_id))
            else:
                answers.append(None)
                found[member.member_id] = None
        entries = self._changes.removal(group, found, now_ms) if found else ()
        return Decision(answers, entries, group.group_id, Wake.WAITING)


def check_id(what: str, text: str) -> None:
    """Checks an id that a client chose.

    Raises:
        LogServerError: INVALID_GROUP_ID for a group's, INVALID_REQUEST for others.
    """
    code = ErrorCode.invalid_group_id if what == "group id" else ErrorCode.invalid_request
    if not text:
        raise LogServerError(code, f"the {what} is empty")
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > _MOST_ID_BYTES:
        raise LogServerError(code, f"the {what} {text[:40]!r}... has {size} bytes, {_MOST_ID_BYTES} are allowed")


def _updated(member: Member, request: Heartbeat) -> Member:
    subscription = request.subscription
    return member._replace(
        instance_id=request.instance_id if request.instance_id is not None else member.instance_id,
        rack_id=request.rack_id if request.rack_id is not None else member.rack_id,
        client_id=request.client_id or member.client_id,
        client_host=request.client_host or member.client_host,
        rebalance_timeout_ms=request.rebalance_timeout_ms or member.rebalance_timeout_ms,
        assignor=request.assignor if request.assignor is not None else member.assignor,
        topics=tuple(sorted(set(subscription.topics))) if subscription is not None else member.topics,
        pattern=(subscription.pattern or None) if subscription is not None else member.pattern,
        classic=None,
    )


def _is_full(request: Heartbeat) -> bool:
    """Whether a member says everything, as it does after an error: it wants to be told everything, too."""
    return request.rebalance_timeout_ms is not None and request.subscription is not None and request.owned is not None


def _check_epoch(member: Member, request: Heartbeat) -> None:
    if request.member_epoch == member.epoch:
        return
    if (
        request.member_epoch == member.previous_epoch
        # Not so one that is away, whose epoch is negative: it comes back by joining.
        and request.member_epoch < member.epoch
        and request.owned is not None
        and request.owned <= member.assigned.keys()
    ):
        # The answer with the new epoch may never have arrived.
        return
    relation = "ahead of" if request.member_epoch > member.epoch else "behind"
    raise LogServerError(
        ErrorCode.fenced_member_epoch,
        f"the member {member.member_id!r} comes with the epoch {request.member_epoch}, {relation} its epoch "
        f"{member.epoch}; it has to give up all its partitions and join again",
    )


def _unknown(group: ConsumerGroup, member_id: str) -> LogServerError:
    return LogServerError(
        ErrorCode.unknown_member_id,
        f"the group {group.group_id!r} has no member {member_id[:100]!r}: it has left, was silent for longer than its "
        "session timeout, or did not give up partitions in time; join again",
    )


def _fenced(group: ConsumerGroup, instance_id: str | None) -> LogServerError:
    return LogServerError(
        ErrorCode.fenced_instance_id,
        f"another member of the group {group.group_id!r} has taken the instance id {instance_id!r}",
    )


def _invalid(message: str) -> LogServerError:
    return LogServerError(ErrorCode.invalid_request, message)
