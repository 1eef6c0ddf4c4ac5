"""Server-side assignors of consumer groups."""

from logserver.coordinator.assignors.spec import Assignment, Assignor, MemberSpec, TopicPartition

__all__ = ["Assignment", "Assignor", "MemberSpec", "TopicPartition"]
