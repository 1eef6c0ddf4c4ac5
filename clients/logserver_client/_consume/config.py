"""The settings of a consumer: names, defaults and limits in one place for both of its forms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Literal, TypedDict

from logserverpb.v1 import log_pb2

AutoOffsetReset = Literal["error", "earliest", "latest"]
Assignor = Literal["uniform", "range"]
IsolationLevel = Literal["read_uncommitted", "read_committed"]


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
    isolation_level: IsolationLevel


class GroupConsumerSettings(ConsumerSettings, total=False):
    """Settings of a consumer that may be in a group; `Consumer` says what each means."""

    group_id: str | None
    group_instance_id: str | None
    auto_commit: bool
    auto_commit_interval_ms: float
    max_poll_interval_ms: float
    client_id: str | None
    rack_id: str | None
    assignor: Assignor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConfig:
    """Settings of a consumer's part in a group, checked.

    Raises:
        ValueError: a setting is out of its range; the message names it and the range.
    """

    group_id: str
    group_instance_id: str | None
    auto_commit: bool
    auto_commit_interval_ms: float
    max_poll_interval_ms: float
    client_id: str
    rack_id: str | None
    assignor: Assignor | None

    def __post_init__(self) -> None:
        for name in ("group_id", "group_instance_id", "client_id", "rack_id"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and value):
                raise ValueError(f"{name} is a text that isn't empty, not {value!r}")
        if self.assignor not in (None, "uniform", "range"):
            raise ValueError(f'assignor is None, "uniform" or "range", not {self.assignor!r}')
        _check_least(self, _GROUP_LEAST)


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
    isolation_level: IsolationLevel = "read_uncommitted"
    group: GroupConfig | None = None

    def __post_init__(self) -> None:
        if self.auto_offset_reset not in ("error", "earliest", "latest"):
            raise ValueError(f'auto_offset_reset is "error", "earliest" or "latest", not {self.auto_offset_reset!r}')
        if self.isolation_level not in ISOLATION_LEVELS:
            raise ValueError(f'isolation_level is "read_uncommitted" or "read_committed", not {self.isolation_level!r}')
        _check_least(self, _LEAST)

    @property
    def request_timeout_s(self) -> float:
        return self.request_timeout_ms / 1000


ISOLATION_LEVELS: Final = {
    "read_uncommitted": log_pb2.ISOLATION_LEVEL_READ_UNCOMMITTED,
    "read_committed": log_pb2.ISOLATION_LEVEL_READ_COMMITTED,
}

_LEAST: Final = {
    "buffer_bytes": 1,
    "max_poll_records": 1,
    "max_decompressed_bytes": 1,
    "request_timeout_ms": 1,
    "retry_backoff_ms": 0,
    "retry_backoff_max_ms": 0,
}


_GROUP_LEAST: Final = {"auto_commit_interval_ms": 1, "max_poll_interval_ms": 1}

_consumers: Final = count(1)


def _check_least(config: object, least_of: Mapping[str, float]) -> None:
    for name, least in least_of.items():
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
            raise ValueError(f"{name} is a number of at least {least}, not {value!r}")


def consumer_config(
    address: str,
    key_deserializer: Callable[[bytes], Any] | None,
    value_deserializer: Callable[[bytes], Any] | None,
    *,
    buffer_bytes: int = 16 * 1024 * 1024,
    max_poll_records: int = 10_000,
    auto_offset_reset: AutoOffsetReset | None = None,
    check_crcs: bool = True,
    max_decompressed_bytes: int = 64 * 1024 * 1024,
    request_timeout_ms: float = 30_000,
    retry_backoff_ms: float = 100,
    retry_backoff_max_ms: float = 1_000,
    isolation_level: IsolationLevel = "read_uncommitted",
    group_id: str | None = None,
    group_instance_id: str | None = None,
    auto_commit: bool = True,
    auto_commit_interval_ms: float = 5_000,
    max_poll_interval_ms: float = 300_000,
    client_id: str | None = None,
    rack_id: str | None = None,
    assignor: Assignor | None = None,
) -> ConsumerConfig:
    """Returns checked settings; the defaults are those of the consumer.

    Raises:
        ValueError: as `ConsumerConfig`.
    """
    group = None
    if group_id is not None:
        group = GroupConfig(
            group_id=group_id,
            group_instance_id=group_instance_id,
            auto_commit=auto_commit,
            auto_commit_interval_ms=auto_commit_interval_ms,
            max_poll_interval_ms=max_poll_interval_ms,
            client_id=f"consumer-{group_id}-{next(_consumers)}" if client_id is None else client_id,
            rack_id=rack_id,
            assignor=assignor,
        )
    elif group_instance_id is not None or assignor is not None:
        raise ValueError("group_instance_id and assignor need a group_id")
    if auto_offset_reset is None:
        auto_offset_reset = "error" if group is None else "latest"
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
        isolation_level=isolation_level,
        group=group,
    )
