"""Server-side assignors of consumer groups: who of a group's members owns which partition."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from logserver.coordinator.assignors.range import RangeAssignor
from logserver.coordinator.assignors.spec import Assignment, Assignor, MemberSpec, TopicPartition
from logserver.coordinator.assignors.uniform import UniformAssignor

__all__ = ["ASSIGNORS", "Assignment", "Assignor", "MemberSpec", "TopicPartition"]

ASSIGNORS: Final[Mapping[str, Assignor]] = MappingProxyType(
    {assignor.name: assignor for assignor in (UniformAssignor(), RangeAssignor())}
)
"""The assignors by name; the first one is the default (Kafka: `group.consumer.assignors`)."""
