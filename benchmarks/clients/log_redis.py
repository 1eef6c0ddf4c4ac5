"""Worker process: records in a Redis stream, by redis-py."""

from typing import Any, Final

import redis

from benchmarks.support.usage import Meter
from benchmarks.support.values import endless, values
from benchmarks.support.worker import CannotDo, work

_PIPELINE: Final = 1_000
_READ: Final = 1_000


def _client(address: str) -> Any:
    host, _, port = address.rpartition(":")
    return redis.Redis(host, int(port))


def produce(address: str, server_pid: int, topic: str, records: int, value_bytes: int) -> Any:
    """Adds records in pipelines of up to 1,000 and 1 MB; ends when all are answered, and counts them."""
    client = _client(address)
    pool = values(value_bytes)
    at_once = max(min(_PIPELINE, 1_000_000 // value_bytes), 1)
    with Meter(server_pid) as meter:
        left, source = records, endless(pool, records)
        while left:
            with client.pipeline(transaction=False) as pipeline:
                for _ in range(min(at_once, left)):
                    pipeline.xadd(topic, {b"v": next(source)})
                    left -= 1
                pipeline.execute()
    if (stored := client.xlen(topic)) != records:
        raise CannotDo(f"{stored} records are stored instead of {records}")
    return meter.to_json(None)


def consume(address: str, server_pid: int, topic: str, records: int) -> Any:
    """Reads so many records from the beginning, and looks at each value."""
    client = _client(address)
    place, left, seen_bytes = b"-", records, 0
    with Meter(server_pid) as meter:
        while left > 0:
            entries = client.xrange(topic, min=place, count=_READ)
            if not entries:
                raise CannotDo(f"{left} records are missing")
            for _, fields in entries:
                seen_bytes += len(fields[b"v"])
            left -= len(entries)
            place = b"(" + entries[-1][0]
    return {"bytes": seen_bytes, **meter.to_json(None)}


def delete(address: str, topic: str) -> None:
    """Removes a stream."""
    _client(address).delete(topic)


if __name__ == "__main__":
    work({"produce": produce, "consume": consume, "delete": delete})
