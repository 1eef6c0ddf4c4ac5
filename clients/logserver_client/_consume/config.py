"""The settings of a consumer: names, defaults and limits in one place for both of its forms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypedDict

AutoOffsetReset = Literal["error", "earliest", "latest"]


class ConsumerSettings(TypedDict, total=False):
    """Settings of a consumer that both forms take; `Consumer` says what each means."""

    buffer_bytes: int
    max_poll_records: int
    auto_offset_reset: AutoOffsetReset
    check_crcs: bool
    max_decompressed_bytes: int
    request_timeout_ms: float
    retry_backoff_ms: float
    retry_backoff_max_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerConfig:
    """Settings of a consumer, checked.

    Raises:
        ValueError: a setting is out of its range; the message names it and the range.
    """

    address: str
    key_deserializer: Callable[[bytes], Any] | None
    value_deserializer: Callable[[bytes], Any] | None
    buffer_bytes: int
    max_poll_records: int
    auto_offset_reset: AutoOffsetReset
    check_crcs: bool
    max_decompressed_bytes: int
    request_timeout_ms: float
    retry_backoff_ms: float
    retry_backoff_max_ms: float

    def __post_init__(self) -> None:
        if self.auto_offset_reset not in ("error", "earliest", "latest"):
            raise ValueError(f'auto_offset_reset is "error", "earliest" or "latest", not {self.auto_offset_reset!r}')
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
                raise ValueError(f"{name} is a number of at least {least}, not {value!r}")

    @property
    def request_timeout_s(self) -> float:
        return self.request_timeout_ms / 1000


_LEAST: Final = {
    "buffer_bytes": 1,
    "max_poll_records": 1,
    "max_decompressed_bytes": 1,
    "request_timeout_ms": 1,
    "retry_backoff_ms": 0,
    "retry_backoff_max_ms": 0,
}


def consumer_config(
    address: str,
    key_deserializer: Callable[[bytes], Any] | None,
    value_deserializer: Callable[[bytes], Any] | None,
    *,
    buffer_bytes: int = 16 * 1024 * 1024,
    max_poll_records: int = 10_000,
    auto_offset_reset: AutoOffsetReset = "error",
    check_crcs: bool = True,
    max_decompressed_bytes: int = 64 * 1024 * 1024,
    request_timeout_ms: float = 30_000,
    retry_backoff_ms: float = 100,
    retry_backoff_max_ms: float = 1_000,
) -> ConsumerConfig:
    """Returns checked settings; the defaults are those of the consumer.

    Raises:
        ValueError: as `ConsumerConfig`.
    """
    return ConsumerConfig(
        address=address,
        key_deserializer=key_deserializer,
        value_deserializer=value_deserializer,
        buffer_bytes=buffer_bytes,
        max_poll_records=max_poll_records,
        auto_offset_reset=auto_offset_reset,
        check_crcs=check_crcs,
        max_decompressed_bytes=max_decompressed_bytes,
        request_timeout_ms=request_timeout_ms,
        retry_backoff_ms=retry_backoff_ms,
        retry_backoff_max_ms=retry_backoff_max_ms,
    )
