"""What an assignor is given, and what it answers.

Source: KIP-848, "Server-side assignor"; Apache Kafka: `GroupSpec`, `MemberSubscription`,
`ConsumerGroupPartitionAssignor`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeAlias

TopicPartition: TypeAlias = tuple[str, int]
"""Topic id and partition number."""

Assignment: TypeAlias = frozenset[TopicPartition]
"""The partitions of one member."""


class MemberSpec(NamedTuple):
    """One member, as far as an assignor looks at it."""

    subscribed: frozenset[str]
    """Ids of the topics that it subscribes to."""
    current: Assignment
    """Its target assignment so far: what stickiness refers to."""
    instance_id: str | None = None
    """Its group instance id; None for a dynamic member."""


class Assignor(Protocol):
    """Decides which member owns which partition. Pure: equal input has an equal result, whatever its order."""

    @property
    def name(self) -> str:
        """The name that a member asks for it by, and that a group is described with."""

    def assign(self, members: Mapping[str, MemberSpec], partitions: Mapping[str, int]) -> dict[str, Assignment]:
        """Returns the new target assignment of every member; who gets nothing has an empty one.

        Every partition of every topic that a member subscribes to is assigned to exactly one subscriber of that topic.
        A member whose assignment stays the same gets the object that it came with.

        Args:
            members: the members by member id.
            partitions: number of partitions by topic id. A topic that is missing here has none (Kafka refuses the
                group; here its members keep working while a topic is being deleted).
        """
