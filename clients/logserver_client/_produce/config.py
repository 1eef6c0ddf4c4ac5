"""The settings of a producer: names, defaults and limits in one place for both of its forms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypedDict

from logserver_records.compression import Compression, check_level

from logserver_client.partitioner import Partitioner
from logserver_client.types import Acks

CompressionName = Literal["none", "gzip", "snappy", "lz4", "zstd"]

ENVELOPE_BYTES: Final = 1024
"""Room in a message for the topic's name (249 characters at most) and the fields around a batch."""

_IN_FLIGHT_MOST_IDEMPOTENT: Final = 5
_LEAST_REQUEST_BYTES: Final = 2 * ENVELOPE_BYTES


class ProducerSettings(TypedDict, total=False):
    """Settings of a producer that both forms take; `Producer` says what each means."""

    acks: Acks
    linger_ms: float
    batch_size: int
    compression: CompressionName | None
    compression_level: int | None
    partitioner: Partitioner | None
    idempotent: bool | None
    max_in_flight: int
    buffer_memory: int
    max_request_size: int
    max_block_ms: float
    delivery_timeout_ms: float
    request_timeout_ms: float
    retry_backoff_ms: float
    retry_backoff_max_ms: float
    transactional_id: str | None
    transaction_timeout_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerConfig:
    """Settings of a producer, checked.

    Raises:
        ValueError: a setting is out of its range; the message names it and the range.
    """

    address: str
    acks: Acks
    linger_ms: float
    batch_size: int
    compression: Compression
    compression_level: int | None
    partitioner: Partitioner | None
    key_serializer: Callable[[Any], bytes] | None
    value_serializer: Callable[[Any], bytes] | None
    idempotent: bool
    max_in_flight: int
    buffer_memory: int
    max_request_size: int
    max_block_ms: float
    delivery_timeout_ms: float
    request_timeout_ms: float
    retry_backoff_ms: float
    retry_backoff_max_ms: float
    transactional_id: str | None
    transaction_timeout_ms: float

    def __post_init__(self) -> None:
        if self.acks not in ("all", 0, 1) or isinstance(self.acks, bool):
            raise ValueError(f'acks is "all", 1 or 0, not {self.acks!r}')
        if self.idempotent and self.acks != "all":
            raise ValueError(f'idempotent=True needs acks="all", not {self.acks!r}')
        if self.transactional_id is not None:
            if not isinstance(self.transactional_id, str) or not self.transactional_id:
                raise ValueError(f"transactional_id is a text that isn't empty, not {self.transactional_id!r}")
            if not self.idempotent:
                raise ValueError('transactional_id needs acks="all" and idempotent=True')
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
                raise ValueError(f"{name} is a number of at least {least}, not {value!r}")
        if self.idempotent and self.max_in_flight > _IN_FLIGHT_MOST_IDEMPOTENT:
            # A server remembers the last five batches of a producer in a partition (Kafka: `ProducerStateEntry`).
            raise ValueError(
                f"max_in_flight is at most {_IN_FLIGHT_MOST_IDEMPOTENT} with idempotent=True, not {self.max_in_flight}"
            )
        if self.batch_size > self.buffer_memory:
            raise ValueError(f"batch_size ({self.batch_size}) is over buffer_memory ({self.buffer_memory})")
        if self.batch_size > self.max_request_size - ENVELOPE_BYTES:
            raise ValueError(
                f"batch_size ({self.batch_size}) is over max_request_size ({self.max_request_size}) "
                f"less {ENVELOPE_BYTES} for what goes around it"
            )
        if self.linger_ms > self.delivery_timeout_ms:
            raise ValueError(f"linger_ms ({self.linger_ms}) is over delivery_timeout_ms ({self.delivery_timeout_ms})")
        check_level(self.compression, self.compression_level)


_LEAST: Final = {
    "linger_ms": 0,
    "batch_size": 1,
    "max_in_flight": 1,
    "buffer_memory": 1,
    "max_request_size": _LEAST_REQUEST_BYTES,
    "max_block_ms": 0,
    "delivery_timeout_ms": 1,
    "request_timeout_ms": 1,
    "retry_backoff_ms": 0,
    "retry_backoff_max_ms": 0,
    "transaction_timeout_ms": 1,
}


def producer_config(
    address: str,
    key_serializer: Callable[[Any], bytes] | None,
    value_serializer: Callable[[Any], bytes] | None,
    *,
    acks: Acks = "all",
    linger_ms: float = 5,
    batch_size: int = 1_000_000,
    compression: CompressionName | None = None,
    compression_level: int | None = None,
    partitioner: Partitioner | None = None,
    idempotent: bool | None = None,
    max_in_flight: int = 5,
    buffer_memory: int = 64 * 1024 * 1024,
    max_request_size: int = 16 * 1024 * 1024,
    max_block_ms: float = 60_000,
    delivery_timeout_ms: float = 120_000,
    request_timeout_ms: float = 30_000,
    retry_backoff_ms: float = 100,
    retry_backoff_max_ms: float = 1_000,
    transactional_id: str | None = None,
    transaction_timeout_ms: float = 60_000,
) -> ProducerConfig:
    """Returns checked settings; the defaults are those of the producer.

    Raises:
        ValueError: as `ProducerConfig`, or an unknown compression.
    """
    return ProducerConfig(
        address=address,
        acks=acks,
        linger_ms=linger_ms,
        batch_size=batch_size,
        compression=Compression.NONE if compression is None else Compression.parse(compression),
        compression_level=compression_level,
        partitioner=partitioner,
        key_serializer=key_serializer,
        value_serializer=value_serializer,
        idempotent=acks == "all" if idempotent is None else idempotent,
        max_in_flight=max_in_flight,
        buffer_memory=buffer_memory,
        max_request_size=max_request_size,
        max_block_ms=max_block_ms,
        delivery_timeout_ms=delivery_timeout_ms,
        request_timeout_ms=request_timeout_ms,
        retry_backoff_ms=retry_backoff_ms,
        retry_backoff_max_ms=retry_backoff_max_ms,
        transactional_id=transactional_id,
        transaction_timeout_ms=transaction_timeout_ms,
    )
