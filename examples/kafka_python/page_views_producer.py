"""Sends many page views quickly: in large, compressed batches.

What to watch out for:
- A batch leaves when it is full (`batch_size` bytes) or has waited `linger_ms`. With `linger_ms=0` it leaves as soon
  as the connection is free, which makes many small requests; a few milliseconds make few large ones.
- Compression works on whole batches, so larger batches compress better. gzip needs nothing else; lz4, snappy and
  zstd need their own packages (`pip install lz4 python-snappy zstandard`) and are much quicker.
- `acks="all"` (the default) costs little, for batches of all connections share a flush.
- Do not set `retries`: kafka-python tries again until `delivery_timeout_ms` (2 minutes), and as an idempotent
  producer (the default in version 3) it stores nothing twice while doing so. A small `retries` gives up during a
  restart.
- The memory for what waits is bounded: when it is full `send` blocks, up to `max_block_ms`, then raises.

Needs: pip install "kafka-python>=3"
"""

import argparse
import json
import sys
import time

from kafka import KafkaProducer


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bootstrap-server", default="127.0.0.1:9092", metavar="HOST:PORT")
    options.add_argument("--topic", default="page-views")
    options.add_argument("--count", type=int, default=10_000)
    options.add_argument("--users", type=int, default=10)
    options.add_argument("--compression", choices=["none", "gzip", "snappy", "lz4", "zstd"], default="gzip")
    options.add_argument("--linger-ms", type=int, default=5)
    options.add_argument("--batch-bytes", type=int, default=65_536)
    chosen = options.parse_args()
    failures: list[Exception] = []

    producer = KafkaProducer(
        bootstrap_servers=chosen.bootstrap_server,
        acks="all",
        linger_ms=chosen.linger_ms,
        batch_size=chosen.batch_bytes,
        compression_type=None if chosen.compression == "none" else chosen.compression,
    )
    started = time.monotonic()
    with producer:
        for number in range(chosen.count):
            user = f"user-{number % chosen.users}"
            view = {"event": "page_view", "user": user, "page": f"/product/{number % 97}", "number": number}
            future = producer.send(chosen.topic, key=user.encode(), value=json.dumps(view).encode())
            future.add_errback(failures.append)
        producer.flush()
        seconds = time.monotonic() - started
        measured = producer.metrics()["producer-metrics"]
    if failures:
        sys.exit(f"{len(failures)} of {chosen.count} page views were not stored, the first: {failures[0]}")
    print(
        f"{chosen.count} page views stored in {seconds:.1f} s, {chosen.count / seconds:,.0f} a second; "
        f"{measured['records-per-request-avg']:.0f} a request, "
        f"compressed to {measured['compression-rate-avg']:.0%}"
    )


if __name__ == "__main__":
    main()
