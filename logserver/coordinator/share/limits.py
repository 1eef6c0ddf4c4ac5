"""The settings that share groups go by."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from logserver.settings import ServerSettings, ShareReset, parse_share_reset


def _none(group_id: str) -> Mapping[str, str]:
    return {}


class ShareLimits(NamedTuple):
    """Times are in milliseconds. What a group may have of its own is asked by `..._of`."""

    session_timeout_ms: int = 45_000
    heartbeat_interval_ms: int = 5_000
    assignment_interval_ms: int = 100
    record_lock_duration_ms: int = 30_000
    delivery_count_limit: int = 5
    partition_max_record_locks: int = 2_000
    max_members: int = 200
    max_sessions: int = 2_000
    initialize_retry_interval_ms: int = 30_000
    """When to ask anew for the state of partitions that nobody has reported on."""
    own: Callable[[str], Mapping[str, str]] = _none
    """Returns the settings that a group has of its own, by name."""

    def session_timeout_of(self, group_id: str) -> int:
        """Returns how long a member of a group may be silent, in milliseconds."""
        return int(self.own(group_id).get("share.session.timeout.ms", self.session_timeout_ms))

    def heartbeat_interval_of(self, group_id: str) -> int:
        """Returns how often members of a group are asked for a heartbeat, in milliseconds."""
        return int(self.own(group_id).get("share.heartbeat.interval.ms", self.heartbeat_interval_ms))

    def assignment_interval_of(self, group_id: str) -> int:
        """Returns the shortest time between two assignments of a group, in milliseconds."""
        return int(self.own(group_id).get("share.assignment.interval.ms", self.assignment_interval_ms))

    def record_lock_duration_of(self, group_id: str) -> int:
        """Returns how long a record that was acquired is locked, in milliseconds."""
        return int(self.own(group_id).get("share.record.lock.duration.ms", self.record_lock_duration_ms))

    def delivery_count_limit_of(self, group_id: str) -> int:
        """Returns how often a record of a group is delivered at most."""
        return int(self.own(group_id).get("share.delivery.count.limit", self.delivery_count_limit))

    def partition_max_record_locks_of(self, group_id: str) -> int:
        """Returns how many offsets of a partition may be under way in a group."""
        return int(self.own(group_id).get("share.partition.max.record.locks", self.partition_max_record_locks))

    def reset_of(self, group_id: str) -> ShareReset:
        """Returns where a group begins in a partition that it has not read of."""
        return parse_share_reset(self.own(group_id).get("share.auto.offset.reset", "latest"))

    def reads_committed_of(self, group_id: str) -> bool:
        """Whether a group gets no records of transactions that were aborted or have not ended."""
        return self.own(group_id).get("share.isolation.level") == "read_committed"

    def renews_of(self, group_id: str) -> bool:
        """Whether members of a group may renew the locks of records (KIP-1222)."""
        return self.own(group_id).get("share.renew.acknowledge.enable", "true") == "true"

    @staticmethod
    def of(settings: ServerSettings, own: Callable[[str], Mapping[str, str]] = _none) -> "ShareLimits":
        """Returns the limits that a server's settings ask for, and those that groups have of their own."""
        return ShareLimits(
            session_timeout_ms=settings.group_share_session_timeout_ms,
            heartbeat_interval_ms=settings.group_share_heartbeat_interval_ms,
            assignment_interval_ms=settings.group_share_assignment_interval_ms,
            record_lock_duration_ms=settings.group_share_record_lock_duration_ms,
            delivery_count_limit=settings.group_share_delivery_count_limit,
            partition_max_record_locks=settings.group_share_partition_max_record_locks,
            max_members=settings.group_share_max_size,
            max_sessions=settings.group_share_max_share_sessions,
            own=own,
        )
