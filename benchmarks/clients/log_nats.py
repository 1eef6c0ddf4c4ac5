"""Worker process: records in a stream of NATS JetStream, by nats-py."""

import asyncio
from typing import Any, Final

import nats
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StorageType, StreamConfig

from benchmarks.support.usage import Meter
from benchmarks.support.values import endless, values
from benchmarks.support.worker import CannotDo, work

_UNANSWERED: Final = 4_000
_BATCH: Final = 1_000
_WAIT_S: Final = 60


async def produce(address: str, server_pid: int, topic: str, records: int, value_bytes: int) -> Any:
    """Publishes records with up to 4,000 unanswered; ends when all are answered, and counts them."""
    client = await nats.connect(f"nats://{address}")
    stream = client.jetstream(publish_async_max_pending=_UNANSWERED)
    await stream.add_stream(StreamConfig(name=topic, subjects=[topic], storage=StorageType.FILE))
    pool = values(value_bytes)
    answers: list[Any] = []
    with Meter(server_pid) as meter:
        for value in endless(pool, records):
            answers.append(await stream.publish_async(topic, value, wait_stall=_WAIT_S))
        await asyncio.wait_for(stream.publish_async_completed(), _WAIT_S)
    failed = [answer.exception() for answer in answers if answer.exception() is not None]
    stored = (await stream.stream_info(topic)).state.messages
    await client.close()
    if failed or stored != records:
        raise CannotDo(f"{stored} records are stored instead of {records}: {failed[:1]}")
    return meter.to_json(None)


async def consume(address: str, server_pid: int, topic: str, records: int) -> Any:
    """Fetches records from the beginning by the thousand, without acknowledgement, and looks at each value."""
    client = await nats.connect(f"nats://{address}")
    stream = client.jetstream()
    config = ConsumerConfig(ack_policy=AckPolicy.NONE, deliver_policy=DeliverPolicy.ALL)
    reader = await stream.pull_subscribe(topic, stream=topic, config=config)
    left, seen_bytes = records, 0
    with Meter(server_pid) as meter:
        while left > 0:
            messages = await reader.fetch(min(_BATCH, left), timeout=_WAIT_S)
            for message in messages:
                seen_bytes += len(message.data)
            left -= len(messages)
    await client.close()
    return {"bytes": seen_bytes, **meter.to_json(None)}


async def delete(address: str, topic: str) -> None:
    """Removes a stream."""
    client = await nats.connect(f"nats://{address}")
    await client.jetstream().delete_stream(topic)
    await client.close()


def main() -> None:
    with asyncio.Runner() as runner:
        work(
            {
                "produce": lambda **job: runner.run(produce(**job)),
                "consume": lambda **job: runner.run(consume(**job)),
                "delete": lambda **job: runner.run(delete(**job)),
            }
        )


if __name__ == "__main__":
    main()
