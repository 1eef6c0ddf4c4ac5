"""What members of the classic protocol ask of a group, and what they are told."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from logserver.errors import LogServerError


class JoinGroup(NamedTuple):
    """A member wants to be in the next generation."""

    group_id: str
    member_id: str
    """Empty if it has none yet."""
    new_member_id: str
    """What it gets then."""
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str
    protocols: Sequence[tuple[str, bytes]]
    """Name and metadata of the assignors that it can use, the preferred one first."""
    needs_member_id: bool
    """It joins in two steps: it is given a member id first (KIP-394)."""
    may_skip_assignment: bool = True
    """A leader can be told that it need not assign anew (KIP-814)."""


class JoinedMember(NamedTuple):
    """A member as the leader sees it."""

    member_id: str
    instance_id: str | None
    metadata: bytes


class JoinAnswer(NamedTuple):
    """The generation, or why there is none for this member."""

    member_id: str
    error: LogServerError | None = None
    generation: int = -1
    protocol_type: str | None = None
    protocol: str | None = None
    leader: str = ""
    members: Sequence[JoinedMember] = ()
    """For the leader only."""
    skip_assignment: bool = False
    """The leader need not assign anew (KIP-814)."""


class SyncGroup(NamedTuple):
    """A member wants its assignment; the leader brings everybody's."""

    group_id: str
    generation: int
    member_id: str
    instance_id: str | None
    protocol_type: str | None
    protocol: str | None
    assignments: Mapping[str, bytes]


class SyncAnswer(NamedTuple):
    """A member's assignment."""

    error: LogServerError | None = None
    protocol_type: str | None = None
    protocol: str | None = None
    assignment: bytes = b""


class MemberOfGroup(NamedTuple):
    """Which member of which generation asks."""

    group_id: str
    generation: int
    member_id: str
    instance_id: str | None = None


class Later(NamedTuple):
    """In place of an answer: it comes with a later decision, as a reply to this member."""

    member_id: str


class Reply(NamedTuple):
    """The answer to a request that has waited."""

    group_id: str
    member_id: str
    answer: JoinAnswer | SyncAnswer
