"""The state of one group of Kafka's classic protocol: members agree on a generation, and one of them assigns.

Only a generation that is stable is written to the log; the steps between two of them are of this process, and who was
in them joins again after a restart. Source: Apache Kafka: `ClassicGroup`, KIP-62, KIP-345, KIP-394.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from logserver.coordinator.classic_requests import JoinAnswer, Reply, SyncAnswer
from logserver.coordinator.consumer_protocol import CONSUMER, topics_of
from logserver.coordinator.formats import ClassicMember as MemberRecord
from logserver.coordinator.formats import GroupMetadataValue
from logserver.errors import LogServerError


class ClassicState(StrEnum):
    """Where a group is.

    | state | what is awaited | goes on to |
    | --- | --- | --- |
    | EMPTY | a first member | PREPARING |
    | PREPARING | every member's JoinGroup, or the end of the rebalance timeout | COMPLETING; EMPTY if nobody came |
    | COMPLETING | the leader's SyncGroup | STABLE; PREPARING if members change |
    | STABLE | nothing | PREPARING if members change |
    """

    EMPTY = "empty"
    PREPARING = "preparing rebalance"
    COMPLETING = "completing rebalance"
    STABLE = "stable"


@dataclass(slots=True)
class ClassicMember:
    """A member; changes in place."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: Sequence[tuple[str, bytes]]
    """Name and metadata of the assignors that it can use, the preferred one first."""
    assignment: bytes = b""
    is_joining: bool = False
    """Its JoinGroup waits for an answer."""
    is_syncing: bool = False
    """Its SyncGroup waits for an answer."""
    is_new: bool = False
    """It has not been in any generation."""

    def metadata(self, protocol: str | None) -> bytes:
        """Returns the member's metadata for an assignor."""
        return next((metadata for name, metadata in self.protocols if name == protocol), b"")

    def record(self, protocol: str | None, assignment: bytes) -> MemberRecord:
        """Returns what a generation's record says about the member."""
        return MemberRecord(
            self.member_id,
            self.instance_id,
            self.client_id,
            self.client_host,
            self.rebalance_timeout_ms,
            self.session_timeout_ms,
            self.metadata(protocol),
            assignment,
        )

    @property
    def names(self) -> list[str]:
        """The names of its assignors, the preferred one first."""
        return [name for name, _ in self.protocols]


class ClassicGroup:
    """One group."""

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.state = ClassicState.EMPTY
        self.state_time_ms = 0
        self.generation = 0
        self.protocol_type: str | None = None
        self.protocol: str | None = None
        self.leader: str | None = None
        self.members: dict[str, ClassicMember] = {}
        self.instances: dict[str, str] = {}
        """Member ids of static members by instance id."""
        self.pending: set[str] = set()
        """Member ids that have been given out and have not joined yet (KIP-394)."""
        self.awaited_syncs: set[str] = set()
        """Members of the generation that have not asked for their assignment yet."""
        self.successors: dict[str, ClassicMember] = {}
        """Static members that have come back to a stable generation, by member id: each takes the place of its former
        self when the log says so."""
        self.is_first = False
        """Whether the rebalance under way is that of a group which was empty: nobody is awaited, but more may come."""
        self.is_growing = False
        """Whether members have come since the last look at such a rebalance."""
        self.first_left_ms = 0
        """How much longer such a rebalance may take at most."""

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in it; who has been given a member id and has not joined does not count."""
        return self.state is ClassicState.EMPTY

    @property
    def rebalance_timeout_ms(self) -> int:
        """How long members may take to join again."""
        return max((member.rebalance_timeout_ms for member in self.members.values()), default=0)

    @property
    def all_have_joined(self) -> bool:
        """Whether nobody is awaited any more."""
        return not self.pending and all(member.is_joining for member in self.members.values())

    @property
    def subscribed_topics(self) -> Collection[str] | None:
        """What members are subscribed to, as far as the group is one of consumers; None if that is not known."""
        if self.protocol_type != CONSUMER or self.protocol is None:
            return None
        topics: set[str] = set()
        for member in self.members.values():
            found = topics_of(member.metadata(self.protocol))
            if found is None:
                return None
            topics.update(found)
        return topics

    def subscription(self) -> Callable[[str], bool]:
        """Returns what tells whether a member is subscribed to a topic; where that is not known, consumers are."""
        topics = self.subscribed_topics
        if topics is None:
            is_subscribed = self.protocol_type == CONSUMER and not self.is_empty
            return lambda topic: is_subscribed
        return topics.__contains__

    def waiting_replies(self, error: LogServerError) -> list[Reply]:
        """Returns answers with an error for all members that wait."""
        return [
            Reply(
                self.group_id,
                member.member_id,
                JoinAnswer(member.member_id, error) if member.is_joining else SyncAnswer(error),
            )
            for member in self.members.values()
            if member.is_joining or member.is_syncing
        ]

    def move_to(self, state: ClassicState, now_ms: int) -> None:
        """Changes the state."""
        self.state = state
        self.state_time_ms = now_ms

    def add(self, member: ClassicMember) -> None:
        """Adds a member."""
        self.pending.discard(member.member_id)
        self.members[member.member_id] = member
        if member.instance_id is not None:
            self.instances[member.instance_id] = member.member_id

    def remove(self, member_id: str) -> ClassicMember | None:
        """Removes a member or a pending id; returns the member."""
        self.pending.discard(member_id)
        self.awaited_syncs.discard(member_id)
        member = self.members.pop(member_id, None)
        instance_id = member.instance_id if member is not None else None
        if instance_id is not None and self.instances.get(instance_id) == member_id:
            del self.instances[instance_id]
        if self.leader == member_id:
            # Provisionally; if it does not join the next generation, another one that does is elected.
            self.leader = next(iter(self.members), None)
        return member

    def common_protocols(self, members: Collection[ClassicMember] | None = None) -> set[str]:
        """Returns the assignors that every member can use."""
        members = self.members.values() if members is None else members
        counts = Counter(name for member in members for name in set(member.names))
        return {name for name, count in counts.items() if count == len(members)}

    def supports(self, protocol_type: str, names: Sequence[str]) -> bool:
        """Whether a member with these assignors fits in."""
        if not self.members:
            return bool(protocol_type) and bool(names)
        return protocol_type == self.protocol_type and not self.common_protocols().isdisjoint(names)

    def select_protocol(self, members: Collection[ClassicMember] | None = None) -> str | None:
        """Returns the assignor that most members prefer among those that all can use."""
        members = self.members.values() if members is None else members
        common = self.common_protocols(members)
        votes = Counter(next(name for name in member.names if name in common) for member in members)
        return votes.most_common(1)[0][0] if votes else None

    def record(self, assignments: Mapping[str, bytes], successor: ClassicMember | None = None) -> GroupMetadataValue:
        """Returns the record of the generation with these assignments; with a static member in place of its former
        self, if one comes back."""
        former_id = self.instances.get(successor.instance_id or "") if successor is not None else None
        members = self.members
        leader = self.leader
        if successor is not None:
            members = {key: member for key, member in members.items() if key != former_id}
            members[successor.member_id] = successor
            leader = successor.member_id if leader == former_id else leader
        return GroupMetadataValue(
            protocol_type=self.protocol_type or "",
            generation=self.generation,
            protocol=self.protocol,
            leader=leader,
            current_state_timestamp_ms=self.state_time_ms,
            members=tuple(
                member.record(self.protocol, assignments.get(member.member_id, b"")) for member in members.values()
            ),
        )

    def assignments(self) -> dict[str, bytes]:
        """Returns the assignment of each member."""
        return {member.member_id: member.assignment for member in self.members.values()}

    def apply(self, value: GroupMetadataValue) -> None:
        """Takes in a record: the generation is stable, or the group is empty."""
        self.generation = value.generation
        self.protocol_type = value.protocol_type or None
        self.protocol, self.leader = value.protocol, value.leader
        self.state_time_ms = max(value.current_state_timestamp_ms, 0)
        members, self.members, self.instances = self.members, {}, {}
        for record in value.members:
            member = members.get(record.member_id) or self.successors.get(record.member_id)
            if member is None or member.record(value.protocol, record.assignment) != record:
                # Only what is in the record is known of it.
                member = ClassicMember(
                    record.member_id,
                    record.group_instance_id,
                    record.client_id,
                    record.client_host,
                    record.session_timeout_ms,
                    record.rebalance_timeout_ms if record.rebalance_timeout_ms >= 0 else record.session_timeout_ms,
                    ((value.protocol or "", record.subscription),),
                )
            member.assignment = record.assignment
            self.add(member)
        self.successors.clear()
        self.awaited_syncs &= self.members.keys()
        self.state = ClassicState.STABLE if self.members else ClassicState.EMPTY
