"""What one client has written in any compression, every other client reads."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import aiokafka
import confluent_kafka
import kafka as kafka_python
import logserver_client
import pytest
from logserver_records.batch import whole_batches
from logserver_records.compression import Compression

from logserver.testing import LogServer

from ..other_clients.kafka_tools import KafkaShell
from ..other_clients.kcat import kcat
from ..other_clients.missing import KAFKA_TOOLS, KAFKAJS_CLIENTS, KCAT
from ..other_clients.node import kafkajs
from .fetching import fetch, only, target
from .kafka_shell import Shell
from .raw_client import RawClient
from .records import create_topic

pytestmark = pytest.mark.timeout(300)

CODECS: Final = ("none", "gzip", "snappy", "lz4", "zstd")
PER_CODEC: Final = 20
COUNT: Final = PER_CODEC * len(CODECS)


class Seen(NamedTuple):
    """A record as a client sees it."""

    offset: int
    key: str
    value: str
    header: str


EXPECTED: Final = [
    Seen(number, f"key {number}", f"välue {number} " * 20, CODECS[number // PER_CODEC]) for number in range(COUNT)
]


class Clients(NamedTuple):
    """What clients need to get at a topic."""

    server: LogServer
    shell: Callable[[], Shell]
    topic: str


def of(codec: str) -> list[Seen]:
    """Returns the records that are to be sent in a compression."""
    return [record for record in EXPECTED if record.header == codec]


# Writers: each sends the records of one compression.


def write_confluent(clients: Clients, codec: str) -> None:
    settings = {"bootstrap.servers": clients.server.kafka, "compression.type": codec, "linger.ms": 50}
    producer = confluent_kafka.Producer(settings)
    for record in of(codec):
        producer.produce(clients.topic, record.value, record.key, headers=[("codec", codec.encode())])
    assert producer.flush(30) == 0


def write_kafka_python(clients: Clients, codec: str) -> None:
    producer = kafka_python.KafkaProducer(
        bootstrap_servers=clients.server.kafka, compression_type=None if codec == "none" else codec, linger_ms=50
    )
    for record in of(codec):
        producer.send(clients.topic, record.value.encode(), record.key.encode(), [("codec", codec.encode())])
    producer.close()


def write_aiokafka(clients: Clients, codec: str) -> None:
    async def write() -> None:
        async with aiokafka.AIOKafkaProducer(
            bootstrap_servers=clients.server.kafka,
            compression_type=None if codec == "none" else codec,
            linger_ms=50,
            # What is durable can be read at once.
            acks="all",
        ) as producer:
            for record in of(codec):
                await producer.send(
                    clients.topic, record.value.encode(), record.key.encode(), headers=[("codec", codec.encode())]
                )

    asyncio.run(write())


def write_bundled(clients: Clients, codec: Any) -> None:
    with logserver_client.Producer(clients.server.grpc, compression=codec, linger_ms=50) as producer:
        for record in of(codec):
            producer.send(
                clients.topic, record.value.encode(), key=record.key.encode(), headers=[("codec", codec.encode())]
            )


def write_kcat(clients: Clients, codec: str) -> None:
    lines = "".join(f"{record.key}:{record.value}\n" for record in of(codec))
    kcat(clients.server.kafka, "-P", "-t", clients.topic, "-K:", "-H", f"codec={codec}", "-z", codec, stdin=lines)


def write_kafkajs(clients: Clients, codec: str) -> None:
    compression = {"none": "None", "gzip": "GZIP", "snappy": "Snappy", "lz4": "LZ4", "zstd": "ZSTD"}[codec]
    messages = [{"key": one.key, "value": one.value, "headers": {"codec": codec}} for one in of(codec)]
    batches = [{"compression": compression, "messages": messages}]
    kafkajs(clients.server.kafka, "produce", {"topic": clients.topic, "batches": batches})


def write_java(clients: Clients, codec: str) -> None:
    lines = "".join(f"codec:{codec}\t{record.key}\t{record.value}\n" for record in of(codec))
    parse = ("--reader-property", "parse.key=true", "--reader-property", "parse.headers=true")
    options = ("--topic", clients.topic, "--compression-codec", codec, "--command-property", "linger.ms=50")
    clients.shell()("ConsoleProducer", *options, *parse, stdin=lines)


# Readers: each reads everything.


def read_confluent(clients: Clients) -> list[Seen]:
    consumer = confluent_kafka.Consumer({"bootstrap.servers": clients.server.kafka, "group.id": "unused"})
    consumer.assign([confluent_kafka.TopicPartition(clients.topic, 0, confluent_kafka.OFFSET_BEGINNING)])
    found: list[confluent_kafka.Message] = []
    while len(found) < COUNT:
        found += consumer.consume(COUNT, timeout=0.1)
    consumer.close()
    return [
        Seen(one.offset(), one.key().decode(), one.value().decode(), dict(one.headers())["codec"].decode())  # type: ignore[union-attr,arg-type]
        for one in found
    ]


def read_kafka_python(clients: Clients) -> list[Seen]:
    consumer = kafka_python.KafkaConsumer(bootstrap_servers=clients.server.kafka, auto_offset_reset="earliest")
    consumer.assign([kafka_python.TopicPartition(clients.topic, 0)])
    found = [next(consumer) for _ in range(COUNT)]
    consumer.close()
    return [
        Seen(one.offset, one.key.decode(), one.value.decode(), dict(one.headers)["codec"].decode()) for one in found
    ]


def read_aiokafka(clients: Clients) -> list[Seen]:
    async def read() -> list[Any]:
        consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=clients.server.kafka, auto_offset_reset="earliest")
        consumer.assign([aiokafka.TopicPartition(clients.topic, 0)])
        async with consumer:
            return [await consumer.getone() for _ in range(COUNT)]

    found = asyncio.run(read())
    return [
        Seen(one.offset, one.key.decode(), one.value.decode(), dict(one.headers)["codec"].decode()) for one in found
    ]


def read_bundled(clients: Clients) -> list[Seen]:
    return [
        Seen(one.offset, one.key.decode(), one.value.decode(), dict(one.headers)["codec"].decode())  # type: ignore[union-attr]
        for one in logserver_client.replay(clients.server.grpc, clients.topic)
    ]


def read_kcat(clients: Clients) -> list[Seen]:
    printed = kcat(clients.server.kafka, "-C", "-q", "-J", "-t", clients.topic, "-o", "beginning", "-c", str(COUNT))
    found = map(json.loads, printed.splitlines())
    return [Seen(one["offset"], one["key"], one["payload"], one["headers"][1]) for one in found]


def read_kafkajs(clients: Clients) -> list[Seen]:
    asked = {"topic": clients.topic, "group": f"kafkajs {clients.topic}", "count": COUNT}
    found = kafkajs(clients.server.kafka, "consume", asked)
    return [Seen(one["offset"], one["key"], one["value"], dict(one["headers"])["codec"]) for one in found]


def read_java(clients: Clients) -> list[Seen]:
    shown = [f"print.{what}=true" for what in ("offset", "headers", "key")]
    options = [word for one in shown for word in ("--formatter-property", one)]
    where = ("--topic", clients.topic, "--partition", "0", "--offset", "earliest", "--max-messages", str(COUNT))
    lines = clients.shell()("consumer.ConsoleConsumer", *where, *options).splitlines()
    found = [line.split("\t") for line in lines if line.startswith("Offset:")]
    return [
        Seen(int(offset.partition(":")[2]), key, value, header.partition(":")[2])
        for offset, header, key, value in found
    ]


NAMES: Final = ("confluent", "kafka_python", "aiokafka", "bundled", "kcat", "kafkajs", "java")
NEEDED: Final = {"kcat": KCAT, "kafkajs": KAFKAJS_CLIENTS, "java": KAFKA_TOOLS}


@pytest.fixture(autouse=True)
def needed(request: pytest.FixtureRequest) -> None:
    """Leaves a test out that needs a client which is not there."""
    for name in {request.getfixturevalue(role) for role in ("writer", "reader") if role in request.fixturenames}:
        if name in NEEDED:
            NEEDED[name].need()


@pytest.fixture(scope="module")
def server() -> Iterator[LogServer]:
    """One server for all of them."""
    with LogServer() as server:
        yield server


@pytest.fixture(scope="module")
def topics(server: LogServer) -> set[str]:
    """Names of the topics that have been written."""
    return set()


@pytest.fixture
def written(server: LogServer, topics: set[str], request: pytest.FixtureRequest, writer: str) -> Callable[[], Clients]:
    """The topic of the test's writer, filled when it is needed first."""

    def shell() -> Shell:
        kafka: KafkaShell = request.getfixturevalue("kafka")
        return Shell(kafka, server.kafka)

    clients = Clients(server, shell, writer)

    def fill() -> Clients:
        if writer not in topics:
            create_topic(server, writer)
            for codec in CODECS:
                globals()[f"write_{writer}"](clients, codec)
            topics.add(writer)
        return clients

    return fill


@pytest.mark.parametrize("reader", NAMES)
@pytest.mark.parametrize("writer", NAMES)
def test_everybody_reads_what_anybody_has_written(written: Callable[[], Clients], reader: str) -> None:
    assert globals()[f"read_{reader}"](written()) == EXPECTED


@pytest.mark.parametrize("writer", NAMES)
def test_records_are_stored_in_the_compression_in_which_they_came(
    written: Callable[[], Clients], client: RawClient, writer: str
) -> None:
    written()
    records = only(fetch(client, target(topic=writer))).records
    found = [Compression(header.compression).name.lower() for _, header in whole_batches(records)]
    assert sorted(set(found), key=found.index) == list(CODECS)
