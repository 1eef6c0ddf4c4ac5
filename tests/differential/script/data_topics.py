"""Topics whose settings look at records: timestamps, keys, compression, retention."""

from logserver_records.compression import Compression

from ..batches import batch, patched
from ..keys import Key
from ..session import Session
from .asking import fetch, list_offset, produce, stored


def timestamps(s: Session) -> None:
    """Log append time, and timestamps out of bounds (KIP-467's errors of single records)."""
    at = s.base_ms
    s.topic("append-time", 1, {"message.timestamp.type": "LogAppendTime"})
    produce(s, "append time", "append-time", batch("a", "b", at_ms=at))
    produce(s, "append time in version 3", "append-time", batch("a", "b", at_ms=at), version=3)
    fetch(s, "append time fetched", "append-time")
    bounds = {"message.timestamp.before.max.ms": "3600000", "message.timestamp.after.max.ms": "3600000"}
    s.topic("bounded", 1, bounds)
    hour = 3_600_000
    early = batch("a", "b", at_ms=at)
    for version in (3, 7, 8, 12):
        produce(s, f"too early {version}", "bounded", early, version=version)
    produce(s, "too late", "bounded", batch("a", at_ms=at + 4 * hour))
    produce(s, "now", "bounded", batch("a", at_ms=at + 2 * hour))
    produce(s, "no timestamp", "bounded", batch("a", at_ms=-1))
    produce(s, "many too early", "bounded", batch(*("a" for _ in range(1010)), at_ms=at))
    produce(s, "a compressed one", "bounded", batch("a", "b", at_ms=at, compression=Compression.GZIP))
    s.topic("unbounded")
    produce(s, "no timestamp unbounded", "unbounded", batch("a", at_ms=-1))
    produce(s, "1970", "unbounded", batch("a", at_ms=0))
    produce(s, "tomorrow", "unbounded", batch("a", at_ms=at + 27 * hour))
    produce(s, "a wrong largest timestamp", "unbounded", patched(batch("a", at_ms=at), max_timestamp=at + 5))
    fetch(s, "unbounded fetched", "unbounded")


def compacted(s: Session) -> None:
    """Keys are required."""
    s.topic("compacted", 1, {"cleanup.policy": "compact"})
    at = s.base_ms
    for version in (7, 8, 12):
        produce(s, f"no key {version}", "compacted", batch("a", "b", at_ms=at), version=version)
    produce(s, "a key", "compacted", batch("a", at_ms=at, key="k"))
    produce(s, "an empty key", "compacted", batch("a", at_ms=at, key=""))
    produce(s, "a tombstone", "compacted", batch(None, at_ms=at, key="k"))
    zipped = batch("a", "b", at_ms=at, compression=Compression.GZIP)
    produce(s, "no key, compressed", "compacted", zipped)
    produce(s, "no key, many", "compacted", batch(*("a" for _ in range(20)), at_ms=at))
    fetch(s, "compacted fetched", "compacted")
    s.topic("both", 1, {"cleanup.policy": "compact,delete"})
    produce(s, "no key in both", "both", batch("a", at_ms=at))


def compression(s: Session) -> None:
    """Each codec in, and topics that have one of their own."""
    at = s.base_ms
    s.topic("compression")
    for codec in Compression:
        made = batch("a" * 200, "b" * 200, at_ms=at, compression=codec)
        produce(s, f"as {codec.name}", "compression", made)
    fetch(s, "all fetched", "compression")
    fetch(s, "zstd fetched by version 9", "compression", version=9)
    for name in ("uncompressed", "gzip", "lz4", "snappy", "zstd"):
        topic = f"compression-{name}"
        s.topic(topic, 1, {"compression.type": name})
        for codec in (Compression.NONE, Compression.GZIP, Compression.ZSTD):
            made = batch("a" * 200, "b" * 200, at_ms=at, compression=codec)
            produce(s, f"{codec.name} to {name}", topic, made)
        fetch(s, f"{name} fetched", topic)


def aged_records(s: Session) -> None:
    """DeleteRecords, and what is left to read behind it."""
    s.topic("aged", 2)
    stored(s, "aged", *(batch(*"abc", at_ms=s.base_ms + number * 10) for number in range(4)))

    def ask(label: str, *wanted: tuple[int, int], topic: str = "aged", version: int = 2) -> None:
        partitions = [{"partition_index": index, "offset": offset} for index, offset in wanted]
        message = {"topics": [{"name": topic, "partitions": partitions}], "timeout_ms": 20_000}
        s.ask(f"delete {label}", Key.DELETE_RECORDS, version, message)

    ask("some", (0, 3))
    ask("within a batch", (0, 4), version=0)
    ask("what is gone", (0, 2), version=1)
    ask("beyond the end", (0, 99))
    ask("a negative offset", (0, -2))
    ask("of an empty partition", (1, 0))
    ask("all of an empty partition", (1, -1))
    ask("of unknown partitions", (7, 0), (0, 4))
    ask("of an unknown topic", (0, 0), topic="aged-no")
    ask("of a group's topic", (0, 0), topic="__consumer_offsets")
    ask("of no partitions")
    fetch(s, "what is gone", "aged", 0)
    fetch(s, "within the batch", "aged", 4)
    fetch(s, "before it within the batch", "aged", 3)
    list_offset(s, "the earliest", "aged", -2)
    list_offset(s, "by an old time", "aged", s.base_ms)
    ask("everything", (0, -1))
    fetch(s, "nothing", "aged", 12)
    list_offset(s, "the earliest of nothing", "aged", -2)
    list_offset(s, "the largest timestamp of nothing", "aged", -3)
    list_offset(s, "by time of nothing", "aged", s.base_ms)
    produce(s, "another", "aged", batch("d", at_ms=s.base_ms))
