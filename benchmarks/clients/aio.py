"""Worker process: the bundled client for asyncio."""

import asyncio
from typing import Any

from logserver_client.aio import Consumer, Producer

from benchmarks.support.usage import Meter
from benchmarks.support.values import endless, keys, values
from benchmarks.support.worker import work


async def produce(
    address: str,
    server_pid: int,
    topic: str,
    records: int,
    value_bytes: int,
    keyed: bool,
    settings: dict[str, Any] | None = None,
) -> Any:
    """As the synchronous one."""
    pool, key_pool = values(value_bytes), keys()
    async with Producer(address, **(settings or {})) as producer:
        await (await producer.send(topic, b"", partition=0))
        with Meter(server_pid) as meter:
            send = producer.send
            if keyed:
                for key, value in zip(endless(key_pool, records), endless(pool, records), strict=True):
                    await send(topic, value, key=key)
            else:
                for value in endless(pool, records):
                    await send(topic, value)
            await producer.flush()
    return meter.to_json(None)


async def consume(address: str, server_pid: int, topic: str, records: int) -> Any:
    """As the synchronous one, record by record."""
    left, seen_bytes = records, 0
    async with Consumer(address) as consumer:
        partitions = await consumer.partitions_for(topic)
        with Meter(server_pid) as meter:
            await consumer.assign(partitions, at="earliest")
            async for record in consumer:
                seen_bytes += len(record.value or b"")
                left -= 1
                if not left:
                    break
    return meter.to_json(None)


def main() -> None:
    with asyncio.Runner() as runner:
        work(
            {
                "produce": lambda **job: runner.run(produce(**job)),
                "consume": lambda **job: runner.run(consume(**job)),
            }
        )


if __name__ == "__main__":
    main()
