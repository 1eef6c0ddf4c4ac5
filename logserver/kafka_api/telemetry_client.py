"""The client of a call, as subscriptions to metrics choose it."""

from logserver.broker.telemetry import TelemetryClient
from logserver.kafka_api.api import Call


def telemetry_client(call: Call, client_instance_id: str) -> TelemetryClient:
    """Returns what a subscription may match."""
    client = call.client
    return TelemetryClient(
        client_instance_id,
        call.client_id,
        client.software_name,
        client.software_version,
        client.client_host.removeprefix("/"),
        str(client.client_port),
    )
