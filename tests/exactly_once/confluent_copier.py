"""Copies a topic to another one in transactions with confluent-kafka, until it is killed; argument: the server."""

import signal
import sys

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from tests.exactly_once.copying import GROUP, INPUT, OUTPUT, TRANSACTIONAL_ID

_TIMEOUT_S = 30
_STUCK_S = 10
"""After so long a transaction is given up by ending the process, as whoever runs one with librdkafka has to: sending
offsets can wait for ever for a connection that was lost, whatever its timeout (confluentinc/librdkafka 5456, 5511)."""


def main(server: str) -> None:
    """Copies until it is killed; ends with an exception where only a new process can go on."""
    producer = Producer({"bootstrap.servers": server, "transactional.id": TRANSACTIONAL_ID, "log_level": 0})
    producer.init_transactions(_TIMEOUT_S)
    consumer = Consumer(
        {
            "bootstrap.servers": server,
            "group.id": GROUP,
            # Whoever takes the place of one that was killed has its partitions at once.
            "group.instance.id": "copier",
            "session.timeout.ms": 6_000,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "log_level": 0,
        }
    )
    consumer.subscribe([INPUT])
    while True:
        messages = [message for message in consumer.consume(200, 0.2) if message.error() is None]
        if messages:
            signal.alarm(_STUCK_S)
            copy(producer, consumer, messages)
            signal.alarm(0)


def copy(producer: Producer, consumer: Consumer, messages: list[Message]) -> None:
    """Copies some records in a transaction; if that is aborted, reading goes back to where it began."""
    producer.begin_transaction()
    try:
        ends: dict[int, int] = {}
        for message in messages:
            number, offset = message.partition(), message.offset()
            assert number is not None
            assert offset is not None
            producer.produce(OUTPUT, key=message.key(), value=message.value(), partition=number)
            ends[number] = offset + 1
        offsets = [TopicPartition(INPUT, number, offset) for number, offset in ends.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), _TIMEOUT_S)
        while True:
            try:
                producer.commit_transaction(_TIMEOUT_S)
            except KafkaException as error:
                if error.args[0].retriable():
                    continue
                raise
            else:
                return
    except KafkaException as error:
        if not error.args[0].txn_requires_abort():
            raise
        producer.abort_transaction(_TIMEOUT_S)
        begins: dict[int, int] = {}
        for message in messages:
            number, offset = message.partition(), message.offset()
            assert number is not None
            assert offset is not None
            begins.setdefault(number, offset)
        for number, offset in begins.items():
            consumer.seek(TopicPartition(INPUT, number, offset))


if __name__ == "__main__":
    main(sys.argv[1])
