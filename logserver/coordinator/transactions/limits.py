"""The settings that the transaction machine goes by."""

from dataclasses import dataclass

from logserver.settings import ServerSettings


@dataclass(slots=True)
class TransactionLimits:
    """Times are in milliseconds. The machine reads them at every decision: whoever holds them may change them."""

    max_timeout_ms: int = 900_000
    id_expiration_ms: int = 604_800_000
    expiration_check_interval_ms: int = 3_600_000
    partition_verification: bool = True
    max_partitions: int = 100_000
    """Of one transaction; Kafka has no limit."""
    max_transactional_ids: int = 100_000
    """Of one machine, which is those of one partition of `__transaction_state`; Kafka has no limit."""

    @staticmethod
    def of(settings: ServerSettings) -> "TransactionLimits":
        """Returns the limits that a server's settings ask for."""
        return TransactionLimits(
            max_timeout_ms=settings.transaction_max_timeout_ms,
            id_expiration_ms=settings.transactional_id_expiration_ms,
            expiration_check_interval_ms=settings.transaction_remove_expired_transaction_cleanup_interval_ms,
            partition_verification=settings.transaction_partition_verification_enable,
            max_partitions=settings.transaction_max_partitions,
            max_transactional_ids=settings.transaction_max_ids,
        )
