"""Where the metrics that clients send go: into a topic, as they are sent."""

import asyncio

from crc32c import crc32c
from logserver_records.codec import build_batch
from logserver_records.compression import Compression

from logserver.broker.broker import Broker
from logserver.broker.telemetry import TelemetryClient
from logserver.errors import ErrorCode, LogServerError


async def keep_metrics(
    broker: Broker, client: TelemetryClient, metrics: bytes, compression: int, *, terminating: bool, now_ms: int
) -> None:
    """Appends metrics to `client.metrics.topic`, which is made if it is not there; without that setting they are
    dropped. Returns when they are durable.

    The record's key is the client's instance id, its value what the client sent: OpenTelemetry's MetricsData of
    protobuf, compressed as the header `compression` says. The other headers say who the client is.

    Raises:
        LogServerError: the topic can't be made or written to.
    """
    name = broker.settings.client_metrics_topic
    if name is None or not metrics:
        return
    if broker.find_topic(name) is None:
        try:
            await broker.create_topic(name, 0, {})
        except LogServerError as error:
            if error.code is not ErrorCode.topic_already_exists:
                raise
    key = client.client_instance_id.encode()
    said = {
        **client._asdict(),
        "compression": Compression(compression).name.lower(),
        "terminating": str(terminating).lower(),
    }
    headers = tuple((header, value.encode()) for header, value in said.items())
    number = crc32c(key) % len(broker.topic(name).partitions)
    partition = broker.partition(name, number)
    appended = partition.append_own(build_batch([(now_ms, key, metrics, headers)]))
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def committed(error: LogServerError | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    partition.when_committed(appended.last_offset, committed)
    await done
