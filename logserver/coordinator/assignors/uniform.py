"""The uniform assignor: balance first, then as many partitions as possible stay where they are.

Source: KIP-848; Apache Kafka, `UniformAssignor` (4.3, which takes no notice of racks).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from logserver.coordinator.assignors.heterogeneous import assign_heterogeneous
from logserver.coordinator.assignors.homogeneous import assign_homogeneous
from logserver.coordinator.assignors.spec import Assignment, MemberSpec


class UniformAssignor:
    """Every member has about as many partitions as any other one that could have them."""

    name: Final = "uniform"

    def assign(self, members: Mapping[str, MemberSpec], partitions: Mapping[str, int]) -> dict[str, Assignment]:
        """See `Assignor.assign`."""
        if len({member.subscribed for member in members.values()}) == 1:
            return assign_homogeneous(members, partitions)
        return assign_heterogeneous(members, partitions)
