"""Copies a topic to another one in transactions with the bundled client, until it is killed; argument: the server."""

import sys

from logserver_client import BytesRecord, Consumer, Producer, TopicPartition, TransactionFailed

from tests.exactly_once.copying import GROUP, INPUT, OUTPUT, TRANSACTIONAL_ID


def main(server: str) -> None:
    """Copies until it is killed; ends with an exception where only a new process can go on."""
    with (
        Producer(server, transactional_id=TRANSACTIONAL_ID) as producer,
        Consumer(
            server,
            group_id=GROUP,
            # Whoever takes the place of one that was killed has its partitions at once.
            group_instance_id="copier",
            auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        ) as consumer,
    ):
        producer.init_transactions(30)
        consumer.subscribe([INPUT])
        while True:
            records = consumer.poll(0.2, max_records=200)
            if records:
                copy(producer, consumer, records)


def copy(producer: Producer[bytes, bytes], consumer: Consumer[bytes, bytes], records: list[BytesRecord]) -> None:
    """Copies some records in a transaction; if that is aborted, reading goes back to where it began."""
    ends = {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
    try:
        with producer.transaction():
            for record in records:
                producer.send(OUTPUT, record.value, key=record.key, partition=record.partition)
            producer.send_offsets_to_transaction(ends, consumer.group_metadata())
    except TransactionFailed:
        begins: dict[TopicPartition, int] = {}
        for record in records:
            begins.setdefault(TopicPartition(record.topic, record.partition), record.offset)
        for place in consumer.assignment():
            if place in begins:
                consumer.seek(place, begins[place])


if __name__ == "__main__":
    main(sys.argv[1])
