"""Who is refused in the classic protocol, and why: the same in groups of either kind."""

from logserver.coordinator.classic_group import ClassicGroup, ClassicMember, ClassicState
from logserver.coordinator.classic_requests import MemberOfGroup
from logserver.coordinator.limits import GroupLimits
from logserver.errors import ErrorCode, LogServerError


def find_member(group: ClassicGroup, member_id: str, instance_id: str | None) -> ClassicMember:
    """Returns the member that asks.

    Raises:
        LogServerError: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
    """
    if instance_id is not None:
        known = group.instances.get(instance_id)
        if known is None:
            raise unknown_member(group.group_id, member_id)
        if known != member_id:
            raise fenced_instance(group.group_id, instance_id)
    member = group.members.get(member_id)
    if member is None:
        raise unknown_member(group.group_id, member_id)
    return member


def check_session_timeout(limits: GroupLimits, session_timeout_ms: int) -> None:
    """Checks what a member that joins asks for.

    Raises:
        LogServerError: INVALID_SESSION_TIMEOUT.
    """
    low, high = limits.min_session_timeout_ms, limits.max_session_timeout_ms
    if not low <= session_timeout_ms <= high:
        raise LogServerError(
            ErrorCode.invalid_session_timeout,
            f"the session timeout is group.min.session.timeout.ms={low} to group.max.session.timeout.ms={high} "
            f"milliseconds, not {session_timeout_ms}",
        )


def check_generation(group_id: str, current: int, generation: int) -> None:
    """Checks the generation that a member comes with.

    Raises:
        LogServerError: ILLEGAL_GENERATION.
    """
    if generation != current:
        raise LogServerError(
            ErrorCode.illegal_generation,
            f"the group {group_id!r} is in generation {current}, not {generation}; join again",
        )


def check_committer(group: ClassicGroup, request: MemberOfGroup) -> None:
    """Checks who commits offsets.

    Raises:
        LogServerError: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION, REBALANCE_IN_PROGRESS.
    """
    if request.generation < 0 and group.state is ClassicState.EMPTY:
        return
    if request.generation >= 0 or request.member_id or request.instance_id is not None:
        find_member(group, request.member_id, request.instance_id)
        check_generation(group.group_id, group.generation, request.generation)
    else:
        raise unknown_member(group.group_id, request.member_id)
    if group.state is ClassicState.COMPLETING:
        raise rebalancing(group.group_id)


def unknown_member(group_id: str, member_id: str) -> LogServerError:
    """The error of a member that is none (any more)."""
    return LogServerError(
        ErrorCode.unknown_member_id, f"the group {group_id!r} has no member {member_id[:100]!r}; join again"
    )


def fenced_instance(group_id: str, instance_id: str | None) -> LogServerError:
    """The error of a static member in whose place another one has come."""
    return LogServerError(
        ErrorCode.fenced_instance_id,
        f"another member of the group {group_id!r} has taken the instance id {instance_id!r}",
    )


def rebalancing(group_id: str) -> LogServerError:
    """The error of a member that has to join again."""
    return LogServerError(ErrorCode.rebalance_in_progress, f"the group {group_id!r} is rebalancing; join again")
