"""Metrics that clients send (KIP-714): who is asked for which, how often, and what becomes of them.

Source: KIP-714; Apache Kafka: `ClientMetricsManager`, `ClientMetricsInstance`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from crc32c import crc32c
from logserver_records.compression import Compression
from logserver_segments.seams import Clock

from logserver.broker.configs import ConfigKind, Configs
from logserver.errors import ErrorCode, LogServerError
from logserver.settings import CLIENT_METRICS_DEFINITIONS, match_patterns

ALL_METRICS: Final = "*"
_DEFAULT_INTERVAL_MS: Final = int(str(CLIENT_METRICS_DEFINITIONS["interval.ms"].default))
_NO_IDS: Final = ("A" * 22, "AAAAAAAAAAAAAAAAAAAAAQ")
"""Ids that are none: Kafka keeps them for itself."""


class TelemetryClient(NamedTuple):
    """What a client is chosen by; the fields are named as in the setting `match`."""

    client_instance_id: str
    client_id: str
    client_software_name: str
    client_software_version: str
    client_source_address: str
    client_source_port: str


class TelemetrySubscription(NamedTuple):
    """What one client is asked for: beginnings of metrics' names, * for all, none for nothing."""

    subscription_id: int
    metrics: tuple[str, ...]
    interval_ms: int


@dataclass(slots=True)
class _Instance:
    subscription: TelemetrySubscription
    version: int
    asked_ms: float | None = None
    pushed_ms: float | None = None
    is_terminating: bool = False
    has_to_ask_again: bool = False

    def is_early(self, last_ms: float | None, now_ms: float) -> bool:
        return last_ms is not None and now_ms < last_ms + self.subscription.interval_ms


class ClientTelemetry:
    """Keeps track of the clients that send metrics, up to a number of them: those not heard of for longest go first.

    Args:
        new_id: makes a random id.
    """

    def __init__(self, configs: Configs, clock: Clock, new_id: Callable[[], str]) -> None:
        self._configs = configs
        self._clock = clock
        self._new_id = new_id
        self._instances: dict[str, _Instance] = {}
        # Rises when subscriptions have changed, so that everybody's is worked out anew.
        self._version = 0
        configs.when_changed(self._changed)

    def _changed(self) -> None:
        self._version += 1

    def subscribe(self, client: TelemetryClient) -> tuple[str, TelemetrySubscription]:
        """Returns the id by which the client is to call itself, a new one if it has none, and its subscription.

        Raises:
            LogServerError: THROTTLING_QUOTA_EXCEEDED if the client asks more often than it may.
        """
        if client.client_instance_id in _NO_IDS:
            client = client._replace(client_instance_id=self._new_id())
        now_ms = self._clock.monotonic_ms()
        instance = self._instance(client)
        last_ms = max((at for at in (instance.asked_ms, instance.pushed_ms) if at is not None), default=None)
        if instance.is_early(last_ms, now_ms) and not instance.has_to_ask_again:
            raise _too_early(instance)
        instance.asked_ms = now_ms
        instance.has_to_ask_again = False
        return client.client_instance_id, instance.subscription

    def check_push(
        self, client: TelemetryClient, subscription_id: int, compression: int, size_bytes: int, *, terminating: bool
    ) -> None:
        """Checks what a client sends.

        Args:
            terminating: whether the client says that this is its last one; that may come early.

        Raises:
            LogServerError: INVALID_REQUEST, THROTTLING_QUOTA_EXCEEDED, UNKNOWN_SUBSCRIPTION_ID (the client is to ask
                for its subscription again), UNSUPPORTED_COMPRESSION_TYPE, TELEMETRY_TOO_LARGE.
        """
        if client.client_instance_id in _NO_IDS:
            raise LogServerError(
                ErrorCode.invalid_request, f"{client.client_instance_id} is no id of a client; it has to ask for one"
            )
        instance = self._instance(client)
        if instance.is_terminating:
            raise LogServerError(ErrorCode.invalid_request, "the client has said before that it has sent its last")
        instance.is_terminating = terminating
        now_ms = self._clock.monotonic_ms()
        if instance.is_early(instance.pushed_ms, now_ms) and not terminating:
            raise _too_early(instance)
        instance.pushed_ms = now_ms
        if subscription_id != instance.subscription.subscription_id:
            instance.has_to_ask_again = True
            raise LogServerError(
                ErrorCode.unknown_subscription_id, f"{subscription_id} is not the client's subscription any more"
            )
        if compression not in list(Compression):
            instance.has_to_ask_again = True
            raise LogServerError(ErrorCode.unsupported_compression_type, f"there is no compression type {compression}")
        most = self._configs.server.telemetry_max_bytes
        if size_bytes > most:
            raise LogServerError(
                ErrorCode.telemetry_too_large, f"the metrics have {size_bytes} bytes, telemetry.max.bytes={most}"
            )

    def _instance(self, client: TelemetryClient) -> _Instance:
        instance = self._instances.pop(client.client_instance_id, None)
        if instance is None:
            instance = _Instance(self._subscription(client), self._version)
        elif instance.version < self._version:
            # As in Apache Kafka a client whose subscription may be another now is told without waiting.
            instance = _Instance(self._subscription(client), self._version, is_terminating=instance.is_terminating)
        self._instances[client.client_instance_id] = instance
        if len(self._instances) > self._configs.server.client_metrics_max_instances:
            del self._instances[next(iter(self._instances))]
        return instance

    def _subscription(self, client: TelemetryClient) -> TelemetrySubscription:
        metrics: set[str] = set()
        interval_ms = _DEFAULT_INTERVAL_MS
        for name in self._configs.names(ConfigKind.CLIENT_METRICS):
            settings = self._configs.get(ConfigKind.CLIENT_METRICS, name)
            if _matches(client, settings.get("match", "")):
                metrics.update(filter(None, (part.strip() for part in settings.get("metrics", "").split(","))))
                interval_ms = min(interval_ms, int(settings.get("interval.ms", _DEFAULT_INTERVAL_MS)))
        wanted = (ALL_METRICS,) if ALL_METRICS in metrics else tuple(sorted(metrics))
        digest = crc32c(f"{client.client_instance_id} {interval_ms} {','.join(wanted)}".encode())
        return TelemetrySubscription(digest - (1 << 32) if digest >> 31 else digest, wanted, interval_ms)


def _matches(client: TelemetryClient, match: str) -> bool:
    fields = client._asdict()
    return all(pattern.fullmatch(fields[name]) for name, pattern in match_patterns(match).items())


def _too_early(instance: _Instance) -> LogServerError:
    return LogServerError(
        ErrorCode.throttling_quota_exceeded,
        f"the client may send something every {instance.subscription.interval_ms} ms, it was sooner",
    )
