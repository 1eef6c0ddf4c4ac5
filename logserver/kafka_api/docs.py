"""Writes docs/compatibility.md: `python -m logserver.kafka_api.docs > docs/compatibility.md`."""

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from logserver.kafka_api import apis
from logserver.kafka_api.api import Api

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
Every other key of Apache Kafka is not served, and a request of it closes the connection: share groups (KIP-932),
streams groups (KIP-1071), and what only brokers and controllers ask each other.

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


_DIFFERENCES: Final = (
    (
        "`acks=all`",
        "answered when the records are on disk (`flush.messages=1`)",
        "answered when all replicas have them in memory",
        "one server has no replicas to fall back on",
    ),
    (
        "the high watermark",
        "follows what is on disk",
        "follows the replicas",
        "nobody reads a record that a power cut could still take back",
    ),
    ("settings", "some defaults differ, see the end of [settings.md](settings.md#differences-from-kafka)", "", ""),
    (
        "a classic group whose `sticky` or `cooperative-sticky` assignor keeps user data in assignments (librdkafka)",
        "becomes a consumer group like any other",
        "GROUP_ID_NOT_FOUND for the consumer that joins it, fatal to librdkafka",
        "the data is about stickiness, which is the server's from there on",
    ),
    (
        "a consumer group that becomes a classic one",
        "always rebalances, after a restart, too; its first record has what members own",
        "keeps its assignment if a static member's return is the reason; its first record has what members are to own",
        "a partition never has two owners, nor none for long",
    ),
    (
        "a heartbeat of a consumer that was given up, when its group is a classic one by now",
        "UNKNOWN_MEMBER_ID: it joins again",
        "GROUP_ID_NOT_FOUND, fatal to clients",
        "as where there is no such group",
    ),
    (
        "assignor `uniform`",
        "deals free partitions in turn, and balances until nothing is left to do",
        "hands out runs, stops after 16 rounds",
        "fewer moves",
    ),
    (
        "a member's commit for a partition that another member owns now",
        "refused with STALE_MEMBER_EPOCH",
        "taken while the member's epoch has not changed",
        "it could take back what the new owner has committed",
    ),
    (
        "old offsets of consumer groups",
        "kept for `offsets.retention.minutes` after the last member has left",
        "kept so long after the commit",
        "a group that was idle for a week loses nothing when its last member restarts",
    ),
    (
        "a topic that comes into being by being asked for",
        "is told in the same answer",
        "UNKNOWN_TOPIC_OR_PARTITION first",
        "clients that ask once have it at once",
    ),
    (
        "names of settings",
        "those that this server does not have are refused, for brokers with INVALID_REQUEST, for topics and groups "
        "with INVALID_CONFIG; `min.insync.replicas` can only be 1",
        "brokers take any name",
        "a typing error is told and not kept",
    ),
    (
        "which of a broker's settings can be changed while it runs",
        "those that topics take their defaults from, `max.connections`, `producer.id.expiration.ms`; others are "
        "refused with INVALID_REQUEST",
        "more, such as threads and listeners",
        "there are none of these here",
    ),
    (
        "settings of a group",
        "`consumer.*`; sessions and heartbeats from 1 ms on, unless `group.consumer.min.*` says otherwise",
        "sessions from 45 s, heartbeats from 5 s on, unless `group.consumer.min.*` says otherwise",
        "short sessions make examples and tests quick",
    ),
    (
        "a changed setting",
        "is in force, and described so, when its change is answered",
        "a little later",
        "there is one node",
    ),
    (
        "UnregisterBroker of the running broker",
        "refused with INVALID_REQUEST",
        "the broker is fenced, its partitions are offline",
        "there is no other",
    ),
    (
        "features",
        "`group.version` and `metadata.version` stay at their levels as long as this version runs",
        "can be raised and lowered",
        "they say what this version serves",
    ),
    (
        "metrics of clients",
        "go into the topic `client.metrics.topic`; without it clients are not asked",
        "go to a plugin of the operator's; without it clients are not asked",
        "a topic is what a log server has",
    ),
    (
        "client quotas, SCRAM credentials",
        "can't be set: UNSUPPORTED_VERSION, UNSUPPORTED_SASL_MECHANISM",
        "are kept",
        "not done yet; nothing would come of them",
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
    return "".join([_HEAD, *lines, _TAIL, *_table(_CLIENTS), _DIFFERENCES_HEAD, *_table(_DIFFERENCES)])


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
