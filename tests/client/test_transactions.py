"""Transactions of the bundled client against a real server."""

import threading
from collections.abc import Callable

import pytest
from logserver_client import (
    Consumer,
    InvalidTransactionState,
    LogServerError,
    Producer,
    ProducerFenced,
    TopicPartition,
    TransactionAborted,
    TransactionFailed,
    aio,
    replay,
)

from .conftest import ServerProcess


def committed(address: str, topic: str, partition: int | None = None) -> list[bytes | None]:
    """Returns what readers of committed records see."""
    return [record.value for record in replay(address, topic, partition=partition, isolation_level="read_committed")]


def all_values(address: str, topic: str) -> list[bytes | None]:
    return [record.value for record in replay(address, topic)]


def test_a_transaction_is_visible_all_at_once(address: str, new_topic: Callable[..., str]) -> None:
    topic = new_topic(3)
    with Producer(address, transactional_id=topic) as producer:
        producer.begin_transaction()
        futures = [producer.send(topic, b"a", partition=number) for number in range(3)]
        producer.flush()
        assert [future.result().offset for future in futures] == [0, 0, 0]
        assert committed(address, topic) == []
        assert all_values(address, topic) == [b"a"] * 3
        producer.commit_transaction()
        wait_until(lambda: committed(address, topic) == [b"a"] * 3)


def wait_until(condition: Callable[[], bool]) -> None:
    """Asks again until it is so: readers see an end a moment after it is answered."""
    while not condition():
        pass


def test_nothing_of_an_aborted_transaction_is_visible(address: str, topic: str) -> None:
    with Producer(address, transactional_id=topic) as producer:
        with producer.transaction():
            producer.send(topic, b"before")
        producer.begin_transaction()
        stored = producer.send(topic, b"stored")
        producer.flush()
        buffered = producer.send(topic, b"buffered")
        producer.abort_transaction()
        assert stored.result().offset == 2
        with pytest.raises(TransactionAborted):
            buffered.result()
        with producer.transaction():
            producer.send(topic, b"after")
    wait_until(lambda: committed(address, topic) == [b"before", b"after"])
    assert all_values(address, topic) == [b"before", b"stored", b"after"]


def test_an_exception_aborts(address: str, topic: str) -> None:
    with Producer(address, transactional_id=topic) as producer:
        with pytest.raises(KeyError), producer.transaction():
            producer.send(topic, b"lost")
            producer.flush()
            raise KeyError
        with producer.transaction():
            producer.send(topic, b"a")
    wait_until(lambda: committed(address, topic) == [b"a"])


def test_an_empty_transaction_may_be_committed(address: str, topic: str) -> None:
    with Producer(address, transactional_id=topic) as producer:
        for _ in range(3):
            with producer.transaction():
                pass
        producer.begin_transaction()
        producer.abort_transaction()


def test_records_go_in_transactions_only(address: str, topic: str) -> None:
    with Producer(address, transactional_id=topic) as producer:
        with pytest.raises(InvalidTransactionState, match="open transaction"):
            producer.send(topic, b"a")
        with pytest.raises(InvalidTransactionState):
            producer.commit_transaction()
        producer.begin_transaction()
        with pytest.raises(InvalidTransactionState):
            producer.begin_transaction()
        producer.abort_transaction()
    with Producer(address) as plain, pytest.raises(InvalidTransactionState, match="transactional_id"):
        plain.begin_transaction()


@pytest.mark.parametrize("settings", [{"acks": 1}, {"idempotent": False}], ids=str)
def test_transactions_need_idempotence(address: str, settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="transactional_id needs"):
        Producer(address, transactional_id="x", **settings)  # type: ignore[call-overload]


def test_a_second_producer_fences_the_first(address: str, topic: str) -> None:
    with Producer(address, transactional_id=topic) as first, Producer(address, transactional_id=topic) as second:
        first.begin_transaction()
        first.send(topic, b"zombie")
        first.flush()
        second.init_transactions()
        with pytest.raises((ProducerFenced, TransactionFailed)):
            first.send(topic, b"late")
            first.commit_transaction()
        with pytest.raises(ProducerFenced):
            first.abort_transaction()
        with pytest.raises(ProducerFenced):
            first.begin_transaction()
        with second.transaction():
            second.send(topic, b"a")
    wait_until(lambda: committed(address, topic) == [b"a"])


def test_a_record_that_fails_fails_the_transaction(address: str, new_topic: Callable[..., str]) -> None:
    topic = new_topic(1, max_message_bytes=1000)
    with Producer(address, transactional_id=topic) as producer:
        producer.begin_transaction()
        good = producer.send(topic, b"good")
        producer.flush()
        bad = producer.send(topic, bytes(2000))
        with pytest.raises(TransactionFailed) as failure:
            producer.commit_transaction()
        assert isinstance(failure.value.__cause__, LogServerError)
        assert good.result().offset == 0
        assert isinstance(bad.exception(), LogServerError)
        with pytest.raises(TransactionFailed):
            producer.commit_transaction()
        producer.abort_transaction()
        with producer.transaction():
            producer.send(topic, b"a")
    wait_until(lambda: committed(address, topic) == [b"a"])


def test_a_transaction_that_takes_too_long_can_be_aborted_and_followed(address: str, topic: str) -> None:
    with Producer(address, transactional_id=topic, transaction_timeout_ms=50) as producer:
        producer.begin_transaction()
        producer.send(topic, b"lost")
        producer.flush()
        with Consumer(address, isolation_level="read_committed") as consumer:
            wait_until(lambda: consumer.end_offsets([(topic, 0)])[TopicPartition(topic, 0)] == 2)
        with pytest.raises((TransactionFailed, ProducerFenced)):
            producer.commit_transaction()


def test_offsets_of_a_group_go_along(address: str, new_topic: Callable[..., str]) -> None:
    source, target = new_topic(1), new_topic(1)
    with Producer(address) as producer:
        producer.send_many(source, [str(number).encode() for number in range(30)]).result()
    with (
        Consumer(address, group_id=f"g-{source}", auto_commit=False, auto_offset_reset="earliest") as consumer,
        Producer(address, transactional_id=source) as producer,
    ):
        consumer.subscribe([source])
        done = 0
        fails = True
        while done < 30:
            records = consumer.poll(10, max_records=7)
            offsets = {TopicPartition(source, 0): records[-1].offset + 1}
            producer.begin_transaction()
            producer.send_many(target, [record.value for record in records])
            producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
            if fails := not fails:
                producer.abort_transaction()
                consumer.seek(TopicPartition(source, 0), records[0].offset)
            else:
                producer.commit_transaction()
                done += len(records)
        wait_until(lambda: committed(address, target) == [str(number).encode() for number in range(30)])
        place = TopicPartition(source, 0)
        wait_until(lambda: _committed_offset(consumer, place) == 30)


def _committed_offset(consumer: Consumer[bytes, bytes], place: TopicPartition) -> int:
    found = consumer.committed(place)[place]
    return found.offset if found is not None else -1


def test_who_has_lost_its_partitions_can_not_commit_their_offsets(address: str, new_topic: Callable[..., str]) -> None:
    source = new_topic(1)
    group_id = f"g-{source}"
    with Producer(address) as producer:
        producer.send(source, b"a").result()
    with Producer(address, transactional_id=source) as producer:
        with Consumer(address, group_id=group_id, auto_commit=False, auto_offset_reset="earliest") as consumer:
            consumer.subscribe([source])
            assert consumer.poll(10)
            metadata = consumer.group_metadata()
        # It has left the group.
        producer.begin_transaction()
        with pytest.raises(TransactionFailed):
            producer.send_offsets_to_transaction({TopicPartition(source, 0): 1}, metadata)
        with pytest.raises(TransactionFailed):
            producer.commit_transaction()
        producer.abort_transaction()
        with producer.transaction():
            producer.send_offsets_to_transaction({TopicPartition(source, 0): 1}, group_id)


def test_readers_of_committed_records_wait_for_the_end(address: str, topic: str) -> None:
    with (
        Producer(address, transactional_id=topic) as producer,
        Producer(address) as plain,
        Consumer(address, isolation_level="read_committed") as consumer,
    ):
        consumer.assign([(topic, 0)], at="earliest")
        producer.begin_transaction()
        producer.send(topic, b"a")
        producer.flush()
        plain.send(topic, b"behind").result()
        place = TopicPartition(topic, 0)
        assert consumer.end_offsets([place]) == {place: 0}
        got: list[bytes | None] = []
        reader = threading.Thread(target=lambda: read(consumer, got, 2))
        reader.start()
        producer.commit_transaction()
        reader.join(20)
        assert got == [b"a", b"behind"]
        assert consumer.end_offsets([place]) == {place: 3}


def read(consumer: Consumer[bytes, bytes], got: list[bytes | None], count: int) -> None:
    while len(got) < count:
        got += [record.value for record in consumer.poll(1)]


def test_a_transaction_goes_on_over_a_restart_of_the_server(server_process: ServerProcess) -> None:
    from logserver_client import AdminClient

    with AdminClient(server_process.address) as admin:
        admin.create_topic("t", partitions=2)
    with Producer(server_process.address, transactional_id="x") as producer:
        for round_number in range(4):
            producer.begin_transaction()
            producer.send("t", f"a{round_number}".encode(), partition=0)
            if round_number % 2:
                producer.flush()
            if round_number:
                server_process.restart()
            producer.send("t", f"b{round_number}".encode(), partition=1)
            producer.commit_transaction()
    for partition, letter in enumerate("ab"):
        wanted = [f"{letter}{number}".encode() for number in range(4)]
        wait_until(lambda p=partition, w=wanted: committed(server_process.address, "t", p) == w)  # type: ignore[misc]


async def test_the_same_for_asyncio(address: str, topic: str) -> None:
    async with aio.Producer(address, transactional_id=topic) as producer:
        async with producer.transaction():
            await producer.send(topic, b"a")
        with pytest.raises(KeyError):
            async with producer.transaction():
                await producer.send(topic, b"lost")
                raise KeyError
        await producer.begin_transaction()
        await producer.send(topic, b"b")
        await producer.send_offsets_to_transaction({TopicPartition(topic, 0): 2}, f"g-{topic}")
        await producer.commit_transaction()
        with pytest.raises(InvalidTransactionState):
            await producer.send(topic, b"late")
    values: list[bytes | None] = []
    while values != [b"a", b"b"]:
        values = [record.value async for record in aio.replay(address, topic, isolation_level="read_committed")]


def test_an_isolation_level_that_is_none(address: str) -> None:
    with pytest.raises(ValueError, match="read_committed"):
        Consumer(address, isolation_level="serializable")  # type: ignore[call-overload]
