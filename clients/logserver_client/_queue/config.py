"""The settings of a queue and of those who consume it: names, defaults and limits in one place for both forms."""

from dataclasses import dataclass
from typing import Final, TypedDict

from logserverpb.v1 import queues_pb2

from logserver_client._produce.config import ProducerSettings, producer_config
from logserver_client._queue.message import milliseconds

DEFAULT_PREFETCH: Final = 100
_MOST_PREFETCH: Final = 1_000_000


class ConsumeSettings(TypedDict, total=False):
    """Settings of a consumption that both forms take; `Queue.consume` says what each means."""

    auto_ack: bool
    exclusive: bool
    single_active: bool
    priority: int
    lock: float | None
    consumer: str
    max_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfig:
    """Where a queue is and how it is reached; times in milliseconds."""

    address: str
    name: str
    request_timeout_ms: float
    retry_backoff_ms: float
    retry_backoff_max_ms: float

    @property
    def topic(self) -> str:
        """Where its messages are: a queue NAME has a topic of that name, another is TOPIC/GROUP."""
        return self.name.partition("/")[0]

    @property
    def request_timeout_s(self) -> float:
        return self.request_timeout_ms / 1000


def check_prefetch(prefetch: int) -> int:
    """Returns a number of messages to hold.

    Raises:
        ValueError: it is none.
    """
    if isinstance(prefetch, bool) or not isinstance(prefetch, int) or not 1 <= prefetch <= _MOST_PREFETCH:
        raise ValueError(f"prefetch is a number of messages from 1 to {_MOST_PREFETCH}, not {prefetch!r}")
    return prefetch


def start_message(
    name: str,
    prefetch: int,
    *,
    auto_ack: bool = False,
    exclusive: bool = False,
    single_active: bool = False,
    priority: int = 0,
    lock: float | None = None,
    consumer: str = "",
    max_bytes: int = 0,
) -> queues_pb2.ConsumeStart:
    """Returns how a consumption begins.

    Raises:
        ValueError: a setting is out of its range.
    """
    if lock is not None and milliseconds("lock", lock) == 0:
        raise ValueError("lock is None, or a number of seconds above 0")
    if max_bytes < 0:
        raise ValueError(f"max_bytes is not below 0, as {max_bytes} is")
    return queues_pb2.ConsumeStart(
        queue=name,
        prefetch=check_prefetch(prefetch),
        settle=auto_ack,
        priority=priority,
        exclusive=exclusive,
        single_active=single_active,
        lock_ms=0 if lock is None else milliseconds("lock", lock),
        consumer=consumer,
        max_bytes=max_bytes,
    )


def queue_config(address: str, name: str, settings: ProducerSettings) -> QueueConfig:
    """Returns checked settings; those of the producer that also count for consuming have its defaults.

    Raises:
        ValueError: there is no name, or a setting is out of its range.
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"a queue has a name, {name!r} is none")
    checked = producer_config(address, None, None, **settings)
    return QueueConfig(
        address=address,
        name=name,
        request_timeout_ms=checked.request_timeout_ms,
        retry_backoff_ms=checked.retry_backoff_ms,
        retry_backoff_max_ms=checked.retry_backoff_max_ms,
    )
