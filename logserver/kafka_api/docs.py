"""Writes docs/compatibility.md: `python -m logserver.kafka_api.docs > docs/compatibility.md`."""

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from logserver.kafka_api import apis
from logserver.kafka_api.api import Api
from logserver.kafka_api.differences import DIFFERENCES

_HEAD: Final = """\
# Compatibility with Kafka clients

The door for Kafka clients listens on `127.0.0.1:9092` (`--kafka-listen`), without encryption or authentication. What it
serves is what Apache Kafka 4.3 serves, but for the gaps named below. This page is written by
`python -m logserver.kafka_api.docs` from the files of the APIs themselves.

## Keys and versions

| Key | API | Versions | Not done |
| --- | --- | --- | --- |
"""

_TAIL: Final = """
Every other key of Apache Kafka is not served, and a request of it closes the connection: streams groups (KIP-1071), and
what only brokers and controllers ask each other.

`make differential` asks Apache Kafka 4.3.1 and this server the same 1,500 requests and prints the fields that differ;
each difference that is left has its row below.

## Clients

Tests drive these, as they are, against the server, and have every one of them read what every other has written without
compression and in gzip, Snappy, LZ4 and Zstandard. Others work as far as they use the keys and versions above.

| Client | Tested version | What is driven | To know |
| --- | --- | --- | --- |
"""

_DIFFERENCES_HEAD: Final = """
## Differences on purpose

| What | Here | Apache Kafka | Why |
| --- | --- | --- | --- |
"""

_CLIENTS: Final = (
    (
        "confluent-kafka (librdkafka), Python",
        "2.16.1",
        "every acks, idempotence, seeking, ends of partitions, groups of both protocols, AdminClient",
        "with the `cooperative-sticky` assignor it takes a second for each step of a rebalance",
    ),
    (
        "kafka-python",
        "3.0.12",
        "every acks, idempotence, partitioners, seeking, groups, KafkaAdminClient",
        "in a group, `poll` with a timeout of seconds: it forgets an assignment that comes between two polls",
    ),
    ("aiokafka", "0.14.0", "every acks, idempotence, seeking, groups, AIOKafkaAdminClient", ""),
    (
        "kcat (librdkafka)",
        "1.7.1",
        "every acks, keys and headers, metadata, offsets and times, groups",
        "its librdkafka, 2.0.2 in Debian 12, knows the classic group protocol only",
    ),
    (
        "KafkaJS",
        "2.2.4",
        "every acks, idempotence, seeking, groups, admin",
        "brings gzip; the other codecs are packages of their own (`kafkajs-snappy`, `lz4-napi`, `@bokuweb/zstd-wasm`)",
    ),
    (
        "Apache Kafka's Java clients, in its own tools",
        "4.3.1",
        "topics, configs, consumer-groups, groups, get-offsets, delete-records, console producer and consumer, "
        "producer, consumer and end-to-end performance, verifiable producer and consumer, log-dirs, metadata-quorum, "
        "features, broker-api-versions, client-metrics, leader-election, reassign-partitions",
        "",
    ),
)


def page() -> str:
    """Returns the page."""
    rows = []
    for module in pkgutil.iter_modules(apis.__path__, f"{apis.__name__}."):
        loaded = importlib.import_module(module.name)
        rows += [
            (value.key, value.name, _versions(value), _not_done(loaded.__doc__ or ""))
            for value in vars(loaded).values()
            if isinstance(value, Api)
        ]
    lines = [f"| {key} | {name} | {versions} | {gaps} |\n" for key, name, versions, gaps in sorted(rows)]
    return "".join([_HEAD, *lines, _TAIL, *_table(_CLIENTS), _DIFFERENCES_HEAD, *_table(DIFFERENCES)])


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |\n" for cells in rows]


def _versions(api: Api) -> str:
    served = str(api.lowest) if api.lowest == api.highest else f"{api.lowest} to {api.highest}"
    if api.advertised_lowest is not None and api.advertised_lowest != api.lowest:
        return f"{served} (advertised from {api.advertised_lowest})"
    return served


def _not_done(text: str) -> str:
    """Returns what the "Not done" paragraph of an API's file says."""
    gaps = " ".join(text.partition("Not done:")[2].partition("\n\n")[0].split()).rstrip(".")
    return "" if gaps in ("nothing", "") else gaps.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
