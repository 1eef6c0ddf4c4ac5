"""The settings that the states of share groups go by."""

from dataclasses import dataclass

from logserver.settings import ServerSettings


@dataclass(slots=True)
class StateLimits:
    """Times are in milliseconds."""

    updates_per_snapshot: int = 500
    prune_interval_ms: int = 300_000
    cold_interval_ms: int = 300_000

    @staticmethod
    def of(settings: ServerSettings) -> "StateLimits":
        """Returns the limits that a server's settings ask for."""
        return StateLimits(
            settings.share_coordinator_snapshot_update_records_per_snapshot,
            settings.share_coordinator_state_topic_prune_interval_ms,
            settings.share_coordinator_cold_partition_snapshot_interval_ms,
        )
