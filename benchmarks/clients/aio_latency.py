"""Worker process: single records with the bundled client for asyncio."""

import asyncio
from time import perf_counter

from logserver_client.aio import Producer

from benchmarks.clients.stamps import stamped
from benchmarks.support.worker import work


async def send(address: str, topic: str, records: int, value_bytes: int) -> list[float]:
    """As the synchronous one."""
    took = []
    padding = bytes(value_bytes)
    async with Producer(address, linger_ms=0) as producer:
        await (await producer.send(topic, b""))
        for _ in range(records):
            value = stamped(padding)
            began = perf_counter()
            await (await producer.send(topic, value))
            took.append(perf_counter() - began)
    return took


def main() -> None:
    with asyncio.Runner() as runner:
        work({"send": lambda **job: runner.run(send(**job))})


if __name__ == "__main__":
    main()
