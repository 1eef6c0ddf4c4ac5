"""What the client raises: one base class, a subclass for each error a program may want to treat apart.

An error that the server answers carries Kafka's number and name (`org.apache.kafka.common.protocol.Errors`) and the
server's sentence. Errors that arise in the client carry the number that Kafka's own clients give to the same situation,
so that one table serves both.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from logserver_client.types import TopicPartition

UNKNOWN: Final = -1
"""Kafka's number of an error without one of its own (UNKNOWN_SERVER_ERROR)."""


class LogServerError(Exception):
    """Base of all errors of this package.

    Attributes:
        code: Kafka's number of the error, e.g. 3; -1 where there is none.
        name: Kafka's name, e.g. "UNKNOWN_TOPIC_OR_PARTITION".
        message: a sentence for a person: which limit, which setting, which record, and what to do.
        retriable: True if the same call may succeed when made again.
        deliveries: from `send_many`: the `Deliveries` of the records that it had got to. Those that it had not taken
            have failed with this error.
    """

    deliveries: Any = None

    def __init__(self, code: int, name: str, message: str, retriable: bool = False) -> None:
        super().__init__(code, name, message, retriable)
        self.code = code
        self.name = name
        self.message = message
        self.retriable = retriable

    def __str__(self) -> str:
        return f"{self.message} ({self.name})" if self.message else self.name


class UnknownTopicOrPartition(LogServerError):
    """The topic or partition does not exist; only `AdminClient.create_topic` creates a topic."""


class OffsetOutOfRange(LogServerError):
    """The offset is below the log start offset or beyond the high watermark."""


class CorruptMessage(LogServerError):
    """A record batch is not whole, or its CRC is wrong."""


class MessageTooLarge(LogServerError):
    """A record batch is over the topic's `max.message.bytes`, or a record over the limit of a message."""


class NotLeaderOrFollower(LogServerError):
    """The node asked does not lead the partition; the client finds the leader by itself and tries again."""


class LeaderNotAvailable(LogServerError):
    """Nobody leads the partition now."""


class TopicAlreadyExists(LogServerError):
    """A topic of that name exists."""


class InvalidTopic(LogServerError):
    """The name can't be a topic's, or the topic is internal."""


class InvalidPartitions(LogServerError):
    """A topic can't have that number of partitions."""


class InvalidConfig(LogServerError):
    """A setting's name or value is wrong."""


class InvalidTimestamp(LogServerError):
    """A record's timestamp is too far from the server's clock (`message.timestamp.before.max.ms`, `.after.max.ms`)."""


class InvalidRecord(LogServerError):
    """The server refuses the record, e.g. one without a key in a compacted topic."""


class InvalidRequest(LogServerError):
    """A field of the call is wrong."""


class OutOfOrderSequence(LogServerError):
    """The server misses a batch of this producer before the one sent: acknowledged data may have been lost."""


class UnknownProducerId(LogServerError):
    """The server has forgotten the producer id."""


class InvalidProducerEpoch(LogServerError):
    """A newer epoch of the producer id is in use."""


class StorageError(LogServerError):
    """The partition's log is offline; the server's log says why."""


class PolicyViolation(LogServerError):
    """The server's rules forbid the call."""


class RequestTimedOut(LogServerError):
    """The server did not answer in time."""


class ConnectionFailed(LogServerError):
    """No server answers at the address."""


class DeliveryTimeout(LogServerError):
    """A record was not acknowledged within `delivery_timeout_ms`; the message says whether it may be stored."""


class BufferFull(LogServerError):
    """The producer's `buffer_memory` stayed full for `max_block_ms`."""


class ClientClosed(LogServerError):
    """The client has been closed."""


class SerializationError(LogServerError):
    """A serialiser or deserialiser failed; the cause is its exception.

    Attributes:
        topic, partition, offset: the record, when reading; the consumer's position stays at it, seek past it to go on.
    """

    topic: str | None = None
    partition: int | None = None
    offset: int | None = None


class NoOffsetForPartition(LogServerError):
    """The group has committed nothing for a partition, and auto_offset_reset is "error"."""


class CommitFailed(LogServerError):
    """Offsets were not committed, some or all.

    Attributes:
        errors: why, for each partition that failed; the others are committed. Code and name are those of the first.
    """

    errors: Mapping["TopicPartition", LogServerError]

    def __init__(
        self,
        code: int,
        name: str,
        message: str,
        retriable: bool = False,
        errors: Mapping["TopicPartition", LogServerError] | None = None,
    ) -> None:
        super().__init__(code, name, message, retriable)
        self.errors = errors or {}


class CoordinatorNotAvailable(LogServerError):
    """The group's coordinator is not there now, or is loading, or is another node; trying again helps."""


class UnknownMemberId(LogServerError):
    """The group has no such member, or has it no more: it was silent for too long."""


class FencedMemberEpoch(LogServerError):
    """The member epoch is not the member's: it has lost its partitions meanwhile."""


class StaleMemberEpoch(LogServerError):
    """The member epoch is an older one of the member's, or a partition is not its own any more."""


class FencedInstanceId(LogServerError):
    """Another consumer has taken the place of this group instance id."""


class UnreleasedInstanceId(LogServerError):
    """Another consumer still has the place of this group instance id."""


class GroupMaxSizeReached(LogServerError):
    """The group has as many members as the server allows (`group.consumer.max.size`)."""


class InvalidGroupId(LogServerError):
    """A group can't have that name."""


class GroupIdNotFound(LogServerError):
    """There is no such group."""


class NonEmptyGroup(LogServerError):
    """The group has members; the call needs one without."""


class GroupSubscribedToTopic(LogServerError):
    """A member of the group is subscribed to the topic."""


class InvalidRegularExpression(LogServerError):
    """The pattern of a subscription is not a regular expression (RE2)."""


class UnsupportedAssignor(LogServerError):
    """The server has no assignor of that name."""


class OffsetMetadataTooLarge(LogServerError):
    """The text beside a committed offset is over the server's `offset.metadata.max.bytes`."""


class ProducerFenced(LogServerError):
    """Another producer has taken this one's transactional id; it is of no use any more, close it."""


class TransactionFailed(LogServerError):
    """Something of the transaction has failed, so it can't be committed: abort it; what follows may succeed."""


class TransactionAborted(LogServerError):
    """The record's transaction was aborted before the record was acknowledged."""


class TransactionalIdNotFound(LogServerError):
    """There is no such transactional id."""


class InvalidTransactionState(LogServerError):
    """The producer is not in a state for that: no transaction is open, or one is, or it has no transactional id."""


class MessageLost(LogServerError):
    """A message of a queue was not held any more when it was settled, or nobody could say whether that was durable:
    it may be delivered to somebody else, or to the same consumer again.

    Attributes:
        partition: of the topic.
        first_offset, last_offset: of the messages (both inclusive) of which the same was said.
    """

    partition: int = -1
    first_offset: int = -1
    last_offset: int = -1


_BY_NAME: Final[dict[str, type[LogServerError]]] = {
    "OFFSET_OUT_OF_RANGE": OffsetOutOfRange,
    "CORRUPT_MESSAGE": CorruptMessage,
    "UNKNOWN_TOPIC_OR_PARTITION": UnknownTopicOrPartition,
    "LEADER_NOT_AVAILABLE": LeaderNotAvailable,
    "NOT_LEADER_OR_FOLLOWER": NotLeaderOrFollower,
    "REQUEST_TIMED_OUT": RequestTimedOut,
    "MESSAGE_TOO_LARGE": MessageTooLarge,
    "NETWORK_EXCEPTION": ConnectionFailed,
    "INVALID_TOPIC_EXCEPTION": InvalidTopic,
    "RECORD_LIST_TOO_LARGE": MessageTooLarge,
    "INVALID_TIMESTAMP": InvalidTimestamp,
    "TOPIC_ALREADY_EXISTS": TopicAlreadyExists,
    "INVALID_PARTITIONS": InvalidPartitions,
    "INVALID_CONFIG": InvalidConfig,
    "INVALID_REQUEST": InvalidRequest,
    "POLICY_VIOLATION": PolicyViolation,
    "OUT_OF_ORDER_SEQUENCE_NUMBER": OutOfOrderSequence,
    "INVALID_PRODUCER_EPOCH": InvalidProducerEpoch,
    "KAFKA_STORAGE_ERROR": StorageError,
    "UNKNOWN_PRODUCER_ID": UnknownProducerId,
    "INVALID_RECORD": InvalidRecord,
    "OFFSET_METADATA_TOO_LARGE": OffsetMetadataTooLarge,
    "COORDINATOR_LOAD_IN_PROGRESS": CoordinatorNotAvailable,
    "COORDINATOR_NOT_AVAILABLE": CoordinatorNotAvailable,
    "NOT_COORDINATOR": CoordinatorNotAvailable,
    "INVALID_GROUP_ID": InvalidGroupId,
    "UNKNOWN_MEMBER_ID": UnknownMemberId,
    "NON_EMPTY_GROUP": NonEmptyGroup,
    "GROUP_ID_NOT_FOUND": GroupIdNotFound,
    "GROUP_MAX_SIZE_REACHED": GroupMaxSizeReached,
    "FENCED_INSTANCE_ID": FencedInstanceId,
    "GROUP_SUBSCRIBED_TO_TOPIC": GroupSubscribedToTopic,
    "FENCED_MEMBER_EPOCH": FencedMemberEpoch,
    "UNRELEASED_INSTANCE_ID": UnreleasedInstanceId,
    "UNSUPPORTED_ASSIGNOR": UnsupportedAssignor,
    "STALE_MEMBER_EPOCH": StaleMemberEpoch,
    "PRODUCER_FENCED": ProducerFenced,
    "INVALID_TXN_STATE": InvalidTransactionState,
    "TRANSACTIONAL_ID_NOT_FOUND": TransactionalIdNotFound,
    "TRANSACTION_ABORTABLE": TransactionFailed,
    "INVALID_REGULAR_EXPRESSION": InvalidRegularExpression,
    "INVALID_RECORD_STATE": MessageLost,
}


def error_for(code: int, name: str, message: str, retriable: bool) -> LogServerError:
    """Returns the error of the class that stands for a Kafka name, `LogServerError` itself for names without one."""
    return _BY_NAME.get(name, LogServerError)(code, name, message, retriable)


def connection_failed(message: str) -> ConnectionFailed:
    return ConnectionFailed(13, "NETWORK_EXCEPTION", message, True)


def request_timed_out(message: str) -> RequestTimedOut:
    return RequestTimedOut(7, "REQUEST_TIMED_OUT", message, True)


def delivery_timeout(message: str) -> DeliveryTimeout:
    return DeliveryTimeout(7, "REQUEST_TIMED_OUT", message, False)


def buffer_full(message: str) -> BufferFull:
    return BufferFull(7, "REQUEST_TIMED_OUT", message, True)


def client_closed(message: str) -> ClientClosed:
    return ClientClosed(UNKNOWN, "CLIENT_CLOSED", message, False)


def message_too_large(message: str) -> MessageTooLarge:
    return MessageTooLarge(10, "MESSAGE_TOO_LARGE", message, False)


def transaction_failed(message: str) -> TransactionFailed:
    return TransactionFailed(120, "TRANSACTION_ABORTABLE", message)


def transaction_aborted(message: str) -> TransactionAborted:
    return TransactionAborted(UNKNOWN, "TRANSACTION_ABORTED", message)


def invalid_transaction_state(message: str) -> InvalidTransactionState:
    return InvalidTransactionState(48, "INVALID_TXN_STATE", message)


def serialization_error(message: str) -> SerializationError:
    return SerializationError(UNKNOWN, "SERIALIZATION_ERROR", message, False)


def commit_failed(errors: Mapping["TopicPartition", LogServerError]) -> CommitFailed:
    """Returns the error of a commit in which these partitions failed, at least one."""
    first = next(iter(errors.values()))
    partitions_of: dict[str, list[str]] = {}
    for tp, error in errors.items():
        partitions_of.setdefault(str(error), []).append(str(tp))
    reasons = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in partitions_of.items())
    return CommitFailed(first.code, first.name, f"not committed: {reasons}", first.retriable, dict(errors))


def not_owned(tp: "TopicPartition", group_id: str) -> StaleMemberEpoch:
    return StaleMemberEpoch(
        113, "STALE_MEMBER_EPOCH", f"{tp} is not, or no longer, this consumer's in the group {group_id}"
    )


def no_offset(tp: "TopicPartition", group_id: str) -> NoOffsetForPartition:
    return NoOffsetForPartition(
        UNKNOWN,
        "NO_OFFSET_FOR_PARTITION",
        f'the group {group_id} has committed nothing for {tp}, and auto_offset_reset is "error"; seek, or set it to '
        f'"earliest" or "latest"',
    )


def message_lost(partition: int, first: int, last: int, reason: str) -> MessageLost:
    """Returns the error of messages that could not be settled; both offsets are inclusive."""
    which = f"offset {first}" if first == last else f"offsets {first} to {last}"
    error = MessageLost(
        121, "INVALID_RECORD_STATE", f"{which} of partition {partition} may be delivered again: {reason}"
    )
    error.partition, error.first_offset, error.last_offset = partition, first, last
    return error


def already_settled(partition: int, offset: int) -> MessageLost:
    error = MessageLost(
        121, "INVALID_RECORD_STATE", f"offset {offset} of partition {partition} was settled before; that is said once"
    )
    error.partition = partition
    error.first_offset = error.last_offset = offset
    return error
