"""PushTelemetry (key 72), version 0.

Behavior: takes a client's metrics, if it sends what it was asked for as often as it was asked, and appends them to the
topic `client.metrics.topic` as they are.

Version notes: there is one version.

Source: KIP-714; Apache Kafka: `ClientMetricsManager.processPushTelemetryRequest`.

Not done: nothing.
"""

from collections.abc import Awaitable
from typing import Final

from logserver.broker.client_metrics import keep_metrics
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.telemetry_client import telemetry_client


def _handle(call: Call, request: Struct) -> Awaitable[Response]:
    client = telemetry_client(call, request.client_instance_id)
    call.services.broker.telemetry.check_push(
        client,
        request.subscription_id,
        request.compression_type,
        len(request.metrics),
        terminating=request.terminating,
    )

    async def push() -> Response:
        await keep_metrics(
            call.services.broker,
            client,
            bytes(request.metrics),
            request.compression_type,
            terminating=request.terminating,
            now_ms=call.services.clock.now_ms(),
        )
        return {}

    return push()


API: Final = Api(72, "PushTelemetry", 0, 0, handle=_handle)
