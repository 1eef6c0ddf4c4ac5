"""GetTelemetrySubscriptions (key 71), version 0.

Behavior: tells a client which of its metrics it is to send and how often, by the subscriptions that match it
(IncrementalAlterConfigs of the resource type CLIENT_METRICS), and gives it an id if it has none. One that asks sooner
than it may is told THROTTLING_QUOTA_EXCEEDED. ApiVersions names this only with `client.metrics.topic`, as Apache Kafka
does only with a plugin that takes metrics.

Version notes: there is one version.

Source: KIP-714; Apache Kafka: `ClientMetricsManager.processGetTelemetrySubscriptionRequest`.

Not done: nothing.
"""

from typing import Final

from logserver_records.compression import Compression

from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.telemetry_client import telemetry_client

_COMPRESSIONS: Final = (Compression.ZSTD, Compression.LZ4, Compression.GZIP, Compression.SNAPPY)
"""In the order in which clients are to prefer them."""


def _handle(call: Call, request: Struct) -> Response:
    broker = call.services.broker
    client_id, subscription = broker.telemetry.subscribe(telemetry_client(call, request.client_instance_id))
    return {
        "client_instance_id": client_id,
        "subscription_id": subscription.subscription_id,
        "accepted_compression_types": [int(compression) for compression in _COMPRESSIONS],
        "push_interval_ms": subscription.interval_ms,
        "telemetry_max_bytes": broker.settings.telemetry_max_bytes,
        "delta_temporality": True,
        "requested_metrics": subscription.metrics,
    }


API: Final = Api(71, "GetTelemetrySubscriptions", 0, 0, handle=_handle)
