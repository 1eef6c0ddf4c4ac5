"""What is said about queues: policies, counts, the stories of messages. Times are in seconds where they are lengths."""

from dataclasses import dataclass
from typing import Literal, TypedDict

from logserver_client.errors import LogServerError
from logserver_client.types import Headers

Counter = Literal["deliveries", "failures"]
MessageState = Literal["ready", "delayed", "held", "moving"]


class PolicySettings(TypedDict, total=False):
    """Policies of a queue, as `declare` takes them; `QueuePolicy` says what each means."""

    lock: float
    max_deliveries: int
    counter: Counter
    retry_delay: float
    retry_factor: float
    retry_delay_max: float
    retry_jitter: float
    dead_letter_topic: str
    lapse_is_failure: bool
    max_unsettled: int
    hold: bool


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """How a queue treats its messages; lengths of time are in seconds.

    Attributes:
        lock: how long a message that is received is locked.
        max_deliveries: how often a message is tried before it goes to the dead letters (or away, where there are none);
            0: without end.
        counter: whether that counts "deliveries" or "failures".
        retry_delay: the rest of a message after its first failure.
        retry_factor: by how much the rest grows with each further failure.
        retry_delay_max: the longest rest.
        retry_jitter: the share of the rest, 0 to 1, that is taken off at random.
        dead_letter_topic: where messages go that have failed for good; empty: nowhere.
        lapse_is_failure: whether a lock that runs out counts as a failure.
        max_unsettled: messages of one partition that may be held or wait for another try at the same time.
        hold: whether retention keeps what is not settled.
    """

    lock: float
    max_deliveries: int
    counter: Counter
    retry_delay: float
    retry_factor: float
    retry_delay_max: float
    retry_jitter: float
    dead_letter_topic: str
    lapse_is_failure: bool
    max_unsettled: int
    hold: bool


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many messages of a queue are where, and the bytes of those that are ready, as far as they are known.

    `delayed` wait to be tried again, `in_flight` are held by somebody, `moving` are on their way to another topic.
    """

    ready: int
    delayed: int
    in_flight: int
    moving: int
    ready_bytes: int


@dataclass(frozen=True, slots=True)
class QueuePartition:
    """A queue in one partition: everything below `start_offset` is settled, `end_offset` is behind the last message.

    `error` says why it can't be used, if it can't; `move_refusal` why messages can't be moved to the dead letters.
    """

    partition: int
    start_offset: int
    end_offset: int
    counts: QueueCounts
    error: LogServerError | None
    move_refusal: str


@dataclass(frozen=True, slots=True)
class QueueDescription:
    """A queue.

    Attributes:
        incarnation: changes when a queue of this name is made anew.
        declared: whether it was declared; otherwise it is a share group of Kafka clients.
        consumers: how many consume now.
        dead_lettered: messages in the topic of its dead letters; None if it has none.
        oldest_ready_ms: when the oldest message that is ready was written; None if none is.
        oldest_first_delivery_ms: of the messages that are held or to be tried again, when the earliest was first
            delivered; None if there are none.
        deliveries: how many messages that are not settled were delivered so often.
    """

    name: str
    topic: str
    group: str
    incarnation: str
    declared: bool
    policy: QueuePolicy
    partitions: tuple[QueuePartition, ...]
    counts: QueueCounts
    consumers: int
    dead_lettered: int | None
    oldest_ready_ms: int | None
    oldest_first_delivery_ms: int | None
    deliveries: dict[int, int]


@dataclass(frozen=True, slots=True)
class PeekedMessage:
    """A message that nobody has taken by this.

    `until_ms` is when the lock ends ("held") or the message is due ("delayed"), None if there is no such time; `holder`
    is who has it.
    """

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    state: MessageState
    deliveries: int
    failures: int
    until_ms: int | None
    holder: str


@dataclass(frozen=True, slots=True)
class RedriveProgress:
    """How far a redrive is, in messages.

    `moved` ones are durable where they went, `skipped` ones were not chosen, `held` ones were chosen but stay because
    somebody holds them, `remaining` ones are yet to be looked at. The last progress of all, with `done`, says that
    everything was looked at that was there: with `held` at 0 none is left that was chosen.
    """

    moved: int
    skipped: int
    held: int
    remaining: int
    done: bool


@dataclass(frozen=True, slots=True)
class StoryEvent:
    """Something that happened to a message, such as "acquired", "acknowledged", "failed", "lapsed", "moving".

    `until_ms` is when the lock ends or when it is due again, None if there is no such time.
    """

    kind: str
    at_ms: int
    owner: str
    number: int
    deliveries: int
    failures: int
    reason: str
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Story:
    """What became of a message in one queue, and in `next` one sentence about what will happen next.

    `state` is "ready", "delayed", "held", "moving", "settled", "not delivered yet" or "gone".
    """

    queue: str
    state: str
    deliveries: int
    failures: int
    until_ms: int | None
    holder: str
    events: tuple[StoryEvent, ...]
    next: str
