"""The settings that group state machines go by."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from logserver.coordinator.share.limits import ShareLimits
from logserver.settings import MigrationPolicy, ServerSettings

OwnSettings = Callable[[str], Mapping[str, str]]
"""Returns the settings that a group has of its own, by name."""


def _none(group_id: str) -> Mapping[str, str]:
    return {}


class GroupLimits(NamedTuple):
    """Times are in milliseconds. Those of sessions, heartbeats and assignments are for groups that have none of their
    own; ask `session_timeout_of` and the like."""

    session_timeout_ms: int = 45_000
    heartbeat_interval_ms: int = 5_000
    assignment_interval_ms: int = 100
    max_members: int = 10_000
    max_groups: int = 100_000
    assignors: tuple[str, ...] = ("uniform", "range")
    offset_metadata_max_bytes: int = 4_096
    offsets_retention_ms: int = 10_080 * 60_000
    retention_check_interval_ms: int = 600_000
    min_session_timeout_ms: int = 6_000
    """The next four are of the classic protocol."""
    max_session_timeout_ms: int = 1_800_000
    classic_max_members: int = 10_000
    initial_rebalance_delay_ms: int = 0
    migration_policy: MigrationPolicy = "bidirectional"

    own: OwnSettings = _none
    share: ShareLimits = ShareLimits()
    """Of share groups."""

    def session_timeout_of(self, group_id: str) -> int:
        """Returns how long a member of a group may be silent, in milliseconds."""
        return int(self.own(group_id).get("consumer.session.timeout.ms", self.session_timeout_ms))

    def heartbeat_interval_of(self, group_id: str) -> int:
        """Returns how often members of a group are asked for a heartbeat, in milliseconds."""
        return int(self.own(group_id).get("consumer.heartbeat.interval.ms", self.heartbeat_interval_ms))

    def assignment_interval_of(self, group_id: str) -> int:
        """Returns the shortest time between two assignments of a group, in milliseconds."""
        return int(self.own(group_id).get("consumer.assignment.interval.ms", self.assignment_interval_ms))

    @property
    def upgrades(self) -> bool:
        """Whether classic groups become consumer groups while they have members."""
        return self.migration_policy in ("upgrade", "bidirectional")

    @property
    def downgrades(self) -> bool:
        """Whether consumer groups become classic groups while they have members."""
        return self.migration_policy in ("downgrade", "bidirectional")

    @staticmethod
    def of(settings: ServerSettings, own: OwnSettings = _none) -> "GroupLimits":
        """Returns the limits that a server's settings ask for, and those that groups have of their own."""
        return GroupLimits(
            own=own,
            share=ShareLimits.of(settings, own),
            session_timeout_ms=settings.group_consumer_session_timeout_ms,
            heartbeat_interval_ms=settings.group_consumer_heartbeat_interval_ms,
            assignment_interval_ms=settings.group_consumer_assignment_interval_ms,
            max_members=settings.group_consumer_max_size,
            max_groups=settings.group_max_groups,
            assignors=settings.group_consumer_assignors,
            offset_metadata_max_bytes=settings.offset_metadata_max_bytes,
            offsets_retention_ms=settings.offsets_retention_minutes * 60_000,
            retention_check_interval_ms=settings.offsets_retention_check_interval_ms,
            min_session_timeout_ms=settings.group_min_session_timeout_ms,
            max_session_timeout_ms=settings.group_max_session_timeout_ms,
            classic_max_members=settings.group_max_size,
            initial_rebalance_delay_ms=settings.group_initial_rebalance_delay_ms,
            migration_policy=settings.group_consumer_migration_policy,
        )
