from logserverpb.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QueueCounter(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUEUE_COUNTER_ACQUISITIONS: _ClassVar[QueueCounter]
    QUEUE_COUNTER_FAILURES: _ClassVar[QueueCounter]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_ACKNOWLEDGE: _ClassVar[Outcome]
    OUTCOME_RELEASE: _ClassVar[Outcome]
    OUTCOME_FAIL: _ClassVar[Outcome]
    OUTCOME_REJECT: _ClassVar[Outcome]
    OUTCOME_EXTEND: _ClassVar[Outcome]

class ReleasePosition(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELEASE_POSITION_ORIGINAL: _ClassVar[ReleasePosition]
    RELEASE_POSITION_FRONT: _ClassVar[ReleasePosition]
    RELEASE_POSITION_TAIL: _ClassVar[ReleasePosition]

class MessageState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MESSAGE_STATE_ANY: _ClassVar[MessageState]
    MESSAGE_STATE_READY: _ClassVar[MessageState]
    MESSAGE_STATE_DELAYED: _ClassVar[MessageState]
    MESSAGE_STATE_HELD: _ClassVar[MessageState]
    MESSAGE_STATE_MOVING: _ClassVar[MessageState]
QUEUE_COUNTER_ACQUISITIONS: QueueCounter
QUEUE_COUNTER_FAILURES: QueueCounter
OUTCOME_ACKNOWLEDGE: Outcome
OUTCOME_RELEASE: Outcome
OUTCOME_FAIL: Outcome
OUTCOME_REJECT: Outcome
OUTCOME_EXTEND: Outcome
RELEASE_POSITION_ORIGINAL: ReleasePosition
RELEASE_POSITION_FRONT: ReleasePosition
RELEASE_POSITION_TAIL: ReleasePosition
MESSAGE_STATE_ANY: MessageState
MESSAGE_STATE_READY: MessageState
MESSAGE_STATE_DELAYED: MessageState
MESSAGE_STATE_HELD: MessageState
MESSAGE_STATE_MOVING: MessageState

class QueuePolicy(_message.Message):
    __slots__ = ("lock_ms", "max_deliveries", "counter", "retry_delay_ms", "retry_factor", "retry_delay_max_ms", "retry_jitter", "dead_letter_topic", "lapse_is_failure", "max_unsettled", "hold")
    LOCK_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    COUNTER_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    RETRY_FACTOR_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_MAX_MS_FIELD_NUMBER: _ClassVar[int]
    RETRY_JITTER_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTER_TOPIC_FIELD_NUMBER: _ClassVar[int]
    LAPSE_IS_FAILURE_FIELD_NUMBER: _ClassVar[int]
    MAX_UNSETTLED_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    lock_ms: int
    max_deliveries: int
    counter: QueueCounter
    retry_delay_ms: int
    retry_factor: float
    retry_delay_max_ms: int
    retry_jitter: float
    dead_letter_topic: str
    lapse_is_failure: bool
    max_unsettled: int
    hold: bool
    def __init__(self, lock_ms: _Optional[int] = ..., max_deliveries: _Optional[int] = ..., counter: _Optional[_Union[QueueCounter, str]] = ..., retry_delay_ms: _Optional[int] = ..., retry_factor: _Optional[float] = ..., retry_delay_max_ms: _Optional[int] = ..., retry_jitter: _Optional[float] = ..., dead_letter_topic: _Optional[str] = ..., lapse_is_failure: bool = ..., max_unsettled: _Optional[int] = ..., hold: bool = ...) -> None: ...

class DeclareQueueRequest(_message.Message):
    __slots__ = ("name", "policy", "partitions", "settings", "from_latest")
    class SettingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    FROM_LATEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    policy: QueuePolicy
    partitions: int
    settings: _containers.ScalarMap[str, str]
    from_latest: bool
    def __init__(self, name: _Optional[str] = ..., policy: _Optional[_Union[QueuePolicy, _Mapping]] = ..., partitions: _Optional[int] = ..., settings: _Optional[_Mapping[str, str]] = ..., from_latest: bool = ...) -> None: ...

class DeclareQueueResponse(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: Queue
    def __init__(self, queue: _Optional[_Union[Queue, _Mapping]] = ...) -> None: ...

class DeleteQueueRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteQueueResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListQueuesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListQueuesResponse(_message.Message):
    __slots__ = ("queues",)
    QUEUES_FIELD_NUMBER: _ClassVar[int]
    queues: _containers.RepeatedCompositeFieldContainer[Queue]
    def __init__(self, queues: _Optional[_Iterable[_Union[Queue, _Mapping]]] = ...) -> None: ...

class DescribeQueueRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DescribeQueueResponse(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: Queue
    def __init__(self, queue: _Optional[_Union[Queue, _Mapping]] = ...) -> None: ...

class Queue(_message.Message):
    __slots__ = ("name", "topic", "group", "incarnation", "declared", "policy", "partitions", "counts", "consumers", "dead_lettered", "oldest_ready_ms", "oldest_first_delivery_ms", "deliveries")
    class DeliveriesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    DECLARED_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    CONSUMERS_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERED_FIELD_NUMBER: _ClassVar[int]
    OLDEST_READY_MS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIRST_DELIVERY_MS_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    name: str
    topic: str
    group: str
    incarnation: str
    declared: bool
    policy: QueuePolicy
    partitions: _containers.RepeatedCompositeFieldContainer[QueuePartition]
    counts: QueueCounts
    consumers: int
    dead_lettered: int
    oldest_ready_ms: int
    oldest_first_delivery_ms: int
    deliveries: _containers.ScalarMap[int, int]
    def __init__(self, name: _Optional[str] = ..., topic: _Optional[str] = ..., group: _Optional[str] = ..., incarnation: _Optional[str] = ..., declared: bool = ..., policy: _Optional[_Union[QueuePolicy, _Mapping]] = ..., partitions: _Optional[_Iterable[_Union[QueuePartition, _Mapping]]] = ..., counts: _Optional[_Union[QueueCounts, _Mapping]] = ..., consumers: _Optional[int] = ..., dead_lettered: _Optional[int] = ..., oldest_ready_ms: _Optional[int] = ..., oldest_first_delivery_ms: _Optional[int] = ..., deliveries: _Optional[_Mapping[int, int]] = ...) -> None: ...

class QueueCounts(_message.Message):
    __slots__ = ("ready", "delayed", "in_flight", "moving", "ready_bytes")
    READY_FIELD_NUMBER: _ClassVar[int]
    DELAYED_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    MOVING_FIELD_NUMBER: _ClassVar[int]
    READY_BYTES_FIELD_NUMBER: _ClassVar[int]
    ready: int
    delayed: int
    in_flight: int
    moving: int
    ready_bytes: int
    def __init__(self, ready: _Optional[int] = ..., delayed: _Optional[int] = ..., in_flight: _Optional[int] = ..., moving: _Optional[int] = ..., ready_bytes: _Optional[int] = ...) -> None: ...

class QueuePartition(_message.Message):
    __slots__ = ("partition", "start_offset", "end_offset", "counts", "error", "move_refusal")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    START_OFFSET_FIELD_NUMBER: _ClassVar[int]
    END_OFFSET_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    MOVE_REFUSAL_FIELD_NUMBER: _ClassVar[int]
    partition: int
    start_offset: int
    end_offset: int
    counts: QueueCounts
    error: _common_pb2.Error
    move_refusal: str
    def __init__(self, partition: _Optional[int] = ..., start_offset: _Optional[int] = ..., end_offset: _Optional[int] = ..., counts: _Optional[_Union[QueueCounts, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ..., move_refusal: _Optional[str] = ...) -> None: ...

class SendRequest(_message.Message):
    __slots__ = ("queue", "messages")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    queue: str
    messages: _common_pb2.RecordList
    def __init__(self, queue: _Optional[str] = ..., messages: _Optional[_Union[_common_pb2.RecordList, _Mapping]] = ...) -> None: ...

class SendResponse(_message.Message):
    __slots__ = ("partitions", "offsets")
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedScalarFieldContainer[int]
    offsets: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, partitions: _Optional[_Iterable[int]] = ..., offsets: _Optional[_Iterable[int]] = ...) -> None: ...

class AcquiredRange(_message.Message):
    __slots__ = ("first", "last", "number", "deliveries", "failures", "redelivered")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    REDELIVERED_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    number: int
    deliveries: int
    failures: int
    redelivered: bool
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ..., number: _Optional[int] = ..., deliveries: _Optional[int] = ..., failures: _Optional[int] = ..., redelivered: bool = ...) -> None: ...

class DeliveredRecords(_message.Message):
    __slots__ = ("partition", "batches", "ranges")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    partition: int
    batches: bytes
    ranges: _containers.RepeatedCompositeFieldContainer[AcquiredRange]
    def __init__(self, partition: _Optional[int] = ..., batches: _Optional[bytes] = ..., ranges: _Optional[_Iterable[_Union[AcquiredRange, _Mapping]]] = ...) -> None: ...

class Settlement(_message.Message):
    __slots__ = ("partition", "first", "last", "number", "outcome", "delay_ms", "position", "lock_ms", "reason")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    DELAY_MS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    LOCK_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    partition: int
    first: int
    last: int
    number: int
    outcome: Outcome
    delay_ms: int
    position: ReleasePosition
    lock_ms: int
    reason: str
    def __init__(self, partition: _Optional[int] = ..., first: _Optional[int] = ..., last: _Optional[int] = ..., number: _Optional[int] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., delay_ms: _Optional[int] = ..., position: _Optional[_Union[ReleasePosition, str]] = ..., lock_ms: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class ConsumeStart(_message.Message):
    __slots__ = ("queue", "prefetch", "settle", "priority", "exclusive", "single_active", "lock_ms", "consumer", "max_bytes")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PREFETCH_FIELD_NUMBER: _ClassVar[int]
    SETTLE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    SINGLE_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    LOCK_MS_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    queue: str
    prefetch: int
    settle: bool
    priority: int
    exclusive: bool
    single_active: bool
    lock_ms: int
    consumer: str
    max_bytes: int
    def __init__(self, queue: _Optional[str] = ..., prefetch: _Optional[int] = ..., settle: bool = ..., priority: _Optional[int] = ..., exclusive: bool = ..., single_active: bool = ..., lock_ms: _Optional[int] = ..., consumer: _Optional[str] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class ConsumeSettle(_message.Message):
    __slots__ = ("id", "settlements")
    ID_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENTS_FIELD_NUMBER: _ClassVar[int]
    id: int
    settlements: _containers.RepeatedCompositeFieldContainer[Settlement]
    def __init__(self, id: _Optional[int] = ..., settlements: _Optional[_Iterable[_Union[Settlement, _Mapping]]] = ...) -> None: ...

class ConsumePrefetch(_message.Message):
    __slots__ = ("prefetch",)
    PREFETCH_FIELD_NUMBER: _ClassVar[int]
    prefetch: int
    def __init__(self, prefetch: _Optional[int] = ...) -> None: ...

class ConsumeRequest(_message.Message):
    __slots__ = ("start", "settle", "prefetch")
    START_FIELD_NUMBER: _ClassVar[int]
    SETTLE_FIELD_NUMBER: _ClassVar[int]
    PREFETCH_FIELD_NUMBER: _ClassVar[int]
    start: ConsumeStart
    settle: ConsumeSettle
    prefetch: ConsumePrefetch
    def __init__(self, start: _Optional[_Union[ConsumeStart, _Mapping]] = ..., settle: _Optional[_Union[ConsumeSettle, _Mapping]] = ..., prefetch: _Optional[_Union[ConsumePrefetch, _Mapping]] = ...) -> None: ...

class ConsumeStarted(_message.Message):
    __slots__ = ("incarnation", "queue")
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    incarnation: str
    queue: Queue
    def __init__(self, incarnation: _Optional[str] = ..., queue: _Optional[_Union[Queue, _Mapping]] = ...) -> None: ...

class ConsumeSettled(_message.Message):
    __slots__ = ("id", "refused")
    ID_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    id: int
    refused: _containers.RepeatedCompositeFieldContainer[RefusedSettlement]
    def __init__(self, id: _Optional[int] = ..., refused: _Optional[_Iterable[_Union[RefusedSettlement, _Mapping]]] = ...) -> None: ...

class RefusedSettlement(_message.Message):
    __slots__ = ("id", "index", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: int
    index: int
    error: _common_pb2.Error
    def __init__(self, id: _Optional[int] = ..., index: _Optional[int] = ..., error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class ConsumeCancelled(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: _common_pb2.Error
    def __init__(self, error: _Optional[_Union[_common_pb2.Error, _Mapping]] = ...) -> None: ...

class ConsumeResponse(_message.Message):
    __slots__ = ("started", "delivered", "settled", "cancelled")
    STARTED_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    started: ConsumeStarted
    delivered: DeliveredRecords
    settled: ConsumeSettled
    cancelled: ConsumeCancelled
    def __init__(self, started: _Optional[_Union[ConsumeStarted, _Mapping]] = ..., delivered: _Optional[_Union[DeliveredRecords, _Mapping]] = ..., settled: _Optional[_Union[ConsumeSettled, _Mapping]] = ..., cancelled: _Optional[_Union[ConsumeCancelled, _Mapping]] = ...) -> None: ...

class ReceiveRequest(_message.Message):
    __slots__ = ("queue", "max_messages", "max_bytes", "wait_ms", "lock_ms", "settle")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    LOCK_MS_FIELD_NUMBER: _ClassVar[int]
    SETTLE_FIELD_NUMBER: _ClassVar[int]
    queue: str
    max_messages: int
    max_bytes: int
    wait_ms: int
    lock_ms: int
    settle: bool
    def __init__(self, queue: _Optional[str] = ..., max_messages: _Optional[int] = ..., max_bytes: _Optional[int] = ..., wait_ms: _Optional[int] = ..., lock_ms: _Optional[int] = ..., settle: bool = ...) -> None: ...

class ReceiveResponse(_message.Message):
    __slots__ = ("incarnation", "delivered", "lock_ms")
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    LOCK_MS_FIELD_NUMBER: _ClassVar[int]
    incarnation: str
    delivered: _containers.RepeatedCompositeFieldContainer[DeliveredRecords]
    lock_ms: int
    def __init__(self, incarnation: _Optional[str] = ..., delivered: _Optional[_Iterable[_Union[DeliveredRecords, _Mapping]]] = ..., lock_ms: _Optional[int] = ...) -> None: ...

class SettleRequest(_message.Message):
    __slots__ = ("queue", "incarnation", "settlements", "latest")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENTS_FIELD_NUMBER: _ClassVar[int]
    LATEST_FIELD_NUMBER: _ClassVar[int]
    queue: str
    incarnation: str
    settlements: _containers.RepeatedCompositeFieldContainer[Settlement]
    latest: bool
    def __init__(self, queue: _Optional[str] = ..., incarnation: _Optional[str] = ..., settlements: _Optional[_Iterable[_Union[Settlement, _Mapping]]] = ..., latest: bool = ...) -> None: ...

class SettleResponse(_message.Message):
    __slots__ = ("refused",)
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    refused: _containers.RepeatedCompositeFieldContainer[RefusedSettlement]
    def __init__(self, refused: _Optional[_Iterable[_Union[RefusedSettlement, _Mapping]]] = ...) -> None: ...

class PeekRequest(_message.Message):
    __slots__ = ("queue", "max_messages", "state", "max_bytes")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    queue: str
    max_messages: int
    state: MessageState
    max_bytes: int
    def __init__(self, queue: _Optional[str] = ..., max_messages: _Optional[int] = ..., state: _Optional[_Union[MessageState, str]] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class PeekedRange(_message.Message):
    __slots__ = ("first", "last", "state", "deliveries", "failures", "until_ms", "holder")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    state: MessageState
    deliveries: int
    failures: int
    until_ms: int
    holder: str
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ..., state: _Optional[_Union[MessageState, str]] = ..., deliveries: _Optional[int] = ..., failures: _Optional[int] = ..., until_ms: _Optional[int] = ..., holder: _Optional[str] = ...) -> None: ...

class PeekedRecords(_message.Message):
    __slots__ = ("partition", "batches", "ranges")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    partition: int
    batches: bytes
    ranges: _containers.RepeatedCompositeFieldContainer[PeekedRange]
    def __init__(self, partition: _Optional[int] = ..., batches: _Optional[bytes] = ..., ranges: _Optional[_Iterable[_Union[PeekedRange, _Mapping]]] = ...) -> None: ...

class PeekResponse(_message.Message):
    __slots__ = ("peeked",)
    PEEKED_FIELD_NUMBER: _ClassVar[int]
    peeked: _containers.RepeatedCompositeFieldContainer[PeekedRecords]
    def __init__(self, peeked: _Optional[_Iterable[_Union[PeekedRecords, _Mapping]]] = ...) -> None: ...

class PurgeRequest(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: str
    def __init__(self, queue: _Optional[str] = ...) -> None: ...

class PurgeResponse(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: int
    def __init__(self, messages: _Optional[int] = ...) -> None: ...

class RedriveRequest(_message.Message):
    __slots__ = ("queue", "destination", "key", "headers", "messages_per_second", "max_messages")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    queue: str
    destination: str
    key: bytes
    headers: _containers.RepeatedCompositeFieldContainer[_common_pb2.Header]
    messages_per_second: float
    max_messages: int
    def __init__(self, queue: _Optional[str] = ..., destination: _Optional[str] = ..., key: _Optional[bytes] = ..., headers: _Optional[_Iterable[_Union[_common_pb2.Header, _Mapping]]] = ..., messages_per_second: _Optional[float] = ..., max_messages: _Optional[int] = ...) -> None: ...

class RedriveProgress(_message.Message):
    __slots__ = ("moved", "skipped", "remaining", "done", "held")
    MOVED_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    moved: int
    skipped: int
    remaining: int
    done: bool
    held: int
    def __init__(self, moved: _Optional[int] = ..., skipped: _Optional[int] = ..., remaining: _Optional[int] = ..., done: bool = ..., held: _Optional[int] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("topic", "partition", "offset", "queue")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    topic: str
    partition: int
    offset: int
    queue: str
    def __init__(self, topic: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., queue: _Optional[str] = ...) -> None: ...

class StoryEvent(_message.Message):
    __slots__ = ("kind", "at_ms", "owner", "number", "deliveries", "failures", "reason", "until_ms")
    KIND_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    at_ms: int
    owner: str
    number: int
    deliveries: int
    failures: int
    reason: str
    until_ms: int
    def __init__(self, kind: _Optional[str] = ..., at_ms: _Optional[int] = ..., owner: _Optional[str] = ..., number: _Optional[int] = ..., deliveries: _Optional[int] = ..., failures: _Optional[int] = ..., reason: _Optional[str] = ..., until_ms: _Optional[int] = ...) -> None: ...

class Story(_message.Message):
    __slots__ = ("queue", "state", "deliveries", "failures", "until_ms", "holder", "events", "next")
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    UNTIL_MS_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    queue: str
    state: str
    deliveries: int
    failures: int
    until_ms: int
    holder: str
    events: _containers.RepeatedCompositeFieldContainer[StoryEvent]
    next: str
    def __init__(self, queue: _Optional[str] = ..., state: _Optional[str] = ..., deliveries: _Optional[int] = ..., failures: _Optional[int] = ..., until_ms: _Optional[int] = ..., holder: _Optional[str] = ..., events: _Optional[_Iterable[_Union[StoryEvent, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("stories",)
    STORIES_FIELD_NUMBER: _ClassVar[int]
    stories: _containers.RepeatedCompositeFieldContainer[Story]
    def __init__(self, stories: _Optional[_Iterable[_Union[Story, _Mapping]]] = ...) -> None: ...
