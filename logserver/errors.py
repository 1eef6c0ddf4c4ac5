"""The domain's errors: Kafka's error codes, and what each means to a gRPC caller.

`ErrorCode` is kio's; `ErrorCode.retriable` says whether the same request may succeed when it is sent again (Apache
Kafka's org.apache.kafka.common.protocol.Errors). No gRPC import: a status is its canonical name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from kio.schema.errors import ErrorCode

__all__ = [
    "GRPC_STATUS",
    "ErrorCode",
    "GrpcStatus",
    "LeaderHint",
    "LogServerError",
    "grpc_status_of",
    "kafka_name",
    "unknown_partition",
    "unknown_topic",
]

GrpcStatus: TypeAlias = Literal[
    "OK",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]
"""Canonical names of the gRPC status codes that the server answers with (grpc.StatusCode has them as attributes)."""


_SHOWN: Final = 249
"""As long as a topic's name can be: one that does not exist may be as long as a client likes, and be named often."""


@dataclass(frozen=True, slots=True)
class LeaderHint:
    """Who leads a partition now; goes with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH where it is known."""

    node_id: int
    leader_epoch: int
    grpc_endpoint: str = ""
    """HOST:PORT of that node's gRPC door; empty if it is not known."""


class LogServerError(Exception):
    """An error that is told to the client: a code for its program and a sentence for a person."""

    def __init__(self, code: ErrorCode, message: str, *, leader: LeaderHint | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.leader = leader

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"

    @property
    def name(self) -> str:
        """Kafka's name of the code, such as UNKNOWN_TOPIC_OR_PARTITION."""
        return kafka_name(self.code)

    @property
    def retriable(self) -> bool:
        """True if the same request may succeed when it is sent again."""
        return self.code.retriable

    @property
    def grpc_status(self) -> GrpcStatus:
        """The gRPC status of a whole call that fails with this error."""
        return grpc_status_of(self.code)


def kafka_name(code: ErrorCode) -> str:
    """Kafka's name of a code, such as UNKNOWN_TOPIC_OR_PARTITION."""
    return code.name.upper()


def grpc_status_of(code: ErrorCode) -> GrpcStatus:
    """The gRPC status of a whole call that fails with this code."""
    return GRPC_STATUS[code]


def unknown_topic(topic: str) -> LogServerError:
    """The error for a topic that does not exist."""
    return LogServerError(
        ErrorCode.unknown_topic_or_partition,
        f"Topic {topic[:_SHOWN]!r} does not exist; create it first, for example with `logserver topics create`.",
    )


def unknown_partition(topic: str, partition: int, partitions: int) -> LogServerError:
    """The error for a partition number that its topic, which has `partitions` of them, does not have."""
    return LogServerError(
        ErrorCode.unknown_topic_or_partition,
        f"Topic {topic!r} has no partition {partition}; its partitions are 0 to {partitions - 1}.",
    )


_CODES_BY_STATUS: Final[dict[GrpcStatus, tuple[ErrorCode, ...]]] = {
    "OK": (ErrorCode.none,),
    # The request itself is wrong, whatever the server's state.
    "INVALID_ARGUMENT": (
        ErrorCode.invalid_fetch_size,
        ErrorCode.message_too_large,
        ErrorCode.offset_metadata_too_large,
        ErrorCode.invalid_topic_exception,
        ErrorCode.record_list_too_large,
        ErrorCode.invalid_required_acks,
        ErrorCode.inconsistent_group_protocol,
        ErrorCode.invalid_group_id,
        ErrorCode.invalid_session_timeout,
        ErrorCode.invalid_commit_offset_size,
        ErrorCode.invalid_timestamp,
        ErrorCode.invalid_partitions,
        ErrorCode.invalid_replication_factor,
        ErrorCode.invalid_replica_assignment,
        ErrorCode.invalid_config,
        ErrorCode.invalid_request,
        ErrorCode.invalid_transaction_timeout,
        ErrorCode.invalid_principal_type,
        ErrorCode.invalid_record,
        ErrorCode.unsupported_compression_type,
        ErrorCode.unacceptable_credential,
        ErrorCode.invalid_update_version,
        ErrorCode.principal_deserialization_failure,
        ErrorCode.inconsistent_topic_id,
        ErrorCode.inconsistent_cluster_id,
        ErrorCode.inconsistent_voter_set,
        ErrorCode.unsupported_assignor,
        ErrorCode.mismatched_endpoint_type,
        ErrorCode.telemetry_too_large,
        ErrorCode.invalid_registration,
        ErrorCode.invalid_voter_key,
        ErrorCode.invalid_regular_expression,
        ErrorCode.streams_invalid_topology,
    ),
    "OUT_OF_RANGE": (ErrorCode.offset_out_of_range, ErrorCode.position_out_of_range),
    "NOT_FOUND": (
        ErrorCode.unknown_topic_or_partition,
        ErrorCode.unknown_topic_id,
        ErrorCode.log_dir_not_found,
        ErrorCode.group_id_not_found,
        ErrorCode.delegation_token_not_found,
        ErrorCode.listener_not_found,
        ErrorCode.resource_not_found,
        ErrorCode.snapshot_not_found,
        ErrorCode.broker_id_not_registered,
        ErrorCode.transactional_id_not_found,
        ErrorCode.unknown_controller_id,
        ErrorCode.unknown_subscription_id,
        ErrorCode.voter_not_found,
        ErrorCode.fetch_session_id_not_found,
        ErrorCode.share_session_not_found,
    ),
    "ALREADY_EXISTS": (
        ErrorCode.topic_already_exists,
        ErrorCode.duplicate_sequence_number,
        ErrorCode.duplicate_resource,
        ErrorCode.duplicate_broker_registration,
        ErrorCode.duplicate_voter,
    ),
    # The request is well formed, but something has to change before it can work.
    "FAILED_PRECONDITION": (
        ErrorCode.unknown_member_id,
        ErrorCode.member_id_required,
        ErrorCode.out_of_order_sequence_number,
        ErrorCode.invalid_txn_state,
        ErrorCode.invalid_producer_id_mapping,
        ErrorCode.unknown_producer_id,
        ErrorCode.security_disabled,
        ErrorCode.reassignment_in_progress,
        ErrorCode.no_reassignment_in_progress,
        ErrorCode.delegation_token_auth_disabled,
        ErrorCode.delegation_token_request_not_allowed,
        ErrorCode.non_empty_group,
        ErrorCode.group_subscribed_to_topic,
        ErrorCode.topic_deletion_disabled,
        ErrorCode.election_not_needed,
        ErrorCode.feature_update_failed,
        ErrorCode.ineligible_replica,
        ErrorCode.unreleased_instance_id,
        ErrorCode.invalid_record_state,
        ErrorCode.offset_moved_to_tiered_storage,
        ErrorCode.policy_violation,
        ErrorCode.rebootstrap_required,
    ),
    # The caller's view is out of date, or it lost a race: it has to start over on a higher level.
    "ABORTED": (
        ErrorCode.stale_controller_epoch,
        ErrorCode.illegal_generation,
        ErrorCode.rebalance_in_progress,
        ErrorCode.operation_not_attempted,
        ErrorCode.invalid_producer_epoch,
        ErrorCode.concurrent_transactions,
        ErrorCode.transaction_coordinator_fenced,
        ErrorCode.transaction_abortable,
        ErrorCode.invalid_fetch_session_epoch,
        ErrorCode.invalid_share_session_epoch,
        ErrorCode.fetch_session_topic_id_error,
        ErrorCode.fenced_leader_epoch,
        ErrorCode.fenced_instance_id,
        ErrorCode.fenced_member_epoch,
        ErrorCode.fenced_state_epoch,
        ErrorCode.stale_broker_epoch,
        ErrorCode.stale_member_epoch,
        ErrorCode.producer_fenced,
        ErrorCode.streams_invalid_topology_epoch,
        ErrorCode.streams_topology_fenced,
    ),
    "RESOURCE_EXHAUSTED": (
        ErrorCode.throttling_quota_exceeded,
        ErrorCode.group_max_size_reached,
        ErrorCode.share_session_limit_reached,
    ),
    "DEADLINE_EXCEEDED": (ErrorCode.request_timed_out,),
    # Passes by itself.
    "UNAVAILABLE": (
        ErrorCode.leader_not_available,
        ErrorCode.not_leader_or_follower,
        ErrorCode.broker_not_available,
        ErrorCode.replica_not_available,
        ErrorCode.network_exception,
        ErrorCode.coordinator_load_in_progress,
        ErrorCode.coordinator_not_available,
        ErrorCode.not_coordinator,
        ErrorCode.not_enough_replicas,
        ErrorCode.not_enough_replicas_after_append,
        ErrorCode.not_controller,
        ErrorCode.kafka_storage_error,
        ErrorCode.unknown_leader_epoch,
        ErrorCode.offset_not_available,
        ErrorCode.preferred_leader_not_available,
        ErrorCode.eligible_leaders_not_available,
        ErrorCode.unstable_offset_commit,
        ErrorCode.new_leader_elected,
    ),
    "PERMISSION_DENIED": (
        ErrorCode.topic_authorization_failed,
        ErrorCode.group_authorization_failed,
        ErrorCode.cluster_authorization_failed,
        ErrorCode.transactional_id_authorization_failed,
        ErrorCode.delegation_token_authorization_failed,
        ErrorCode.delegation_token_owner_mismatch,
    ),
    "UNAUTHENTICATED": (
        ErrorCode.unsupported_sasl_mechanism,
        ErrorCode.illegal_sasl_state,
        ErrorCode.sasl_authentication_failed,
        ErrorCode.delegation_token_expired,
    ),
    "UNIMPLEMENTED": (
        ErrorCode.unsupported_version,
        ErrorCode.unsupported_for_message_format,
        ErrorCode.unsupported_endpoint_type,
    ),
    # Bytes that arrived or are stored are not what was sent.
    "DATA_LOSS": (ErrorCode.corrupt_message,),
    "INTERNAL": (ErrorCode.unknown_server_error,),
}

GRPC_STATUS: Final[dict[ErrorCode, GrpcStatus]] = {
    code: status for status, codes in _CODES_BY_STATUS.items() for code in codes
}
"""The gRPC status of every error code."""
