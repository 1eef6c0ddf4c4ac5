"""kafka-python: topics, orders written and read, workers that share them, commits by hand."""

import json
import signal

from logserver_client import AdminClient, Producer

from logserver.testing import LogServer

from .programs import committed, make_topic, run, running, stored


def orders(server: LogServer, topic: str, count: int, partitions: int = 3) -> str:
    """Makes a topic with orders; returns its name."""
    make_topic(server, topic, partitions)
    assert run(server, "kafka_python.orders_producer", "--topic", topic, "--count", str(count)) == [
        f"{count} orders stored in {topic}"
    ]
    return topic


def numbers(lines: list[str]) -> list[int]:
    """The orders that `partition P offset O order N` lines tell of."""
    return [int(line.split()[5]) for line in lines if line.startswith("partition ")]


def places(lines: list[str]) -> set[tuple[str, str]]:
    """The partitions and offsets that such lines tell of."""
    return {(line.split()[1], line.split()[3]) for line in lines if line.startswith("partition ")}


def owned(line: str) -> set[int]:
    assert line.startswith("owns")
    return set(map(int, line.split()[1:]))


def owns_two(line: str) -> bool:
    return line.startswith("owns") and len(owned(line)) == 2


def test_a_topic_has_the_partitions_and_settings_that_were_asked_for(server: LogServer) -> None:
    arguments = ["made", "--partitions", "5", "--config", "retention.ms=-1"]
    assert run(server, "kafka_python.create_topics", *arguments) == ["made made with 5 partitions"]
    with AdminClient(server.grpc) as admin:
        topic = admin.describe_topic("made")
    assert len(topic.partitions) == 5
    assert {setting.name: setting.value for setting in topic.settings}["retention.ms"] == "-1"
    again = run(server, "kafka_python.create_topics", "made", "--partitions", "7")
    assert again == ["made is there already, with 5 partitions"]


def test_a_topic_that_can_t_be_made_is_told(server: LogServer) -> None:
    run(server, "kafka_python.create_topics", "no/name", code=1, told="no/name was not made")


def test_orders_of_a_customer_stay_in_order(server: LogServer) -> None:
    records = stored(server, orders(server, "orders-stored", 200))
    found = [json.loads(record.value or b"") for record in records]
    assert sorted(order["order"] for order in found) == list(range(1, 201))
    for customer in range(7):
        key = f"customer-{customer}"
        mine = [order["order"] for order in found if order["customer"] == key]
        assert mine == sorted(mine)
        assert len({record.partition for record in records if record.key == key.encode()}) == 1


def test_orders_that_are_refused_are_told(server: LogServer) -> None:
    make_topic(server, "small", **{"max.message.bytes": "100"})
    run(server, "kafka_python.orders_producer", "--topic", "small", code=1, told="order 7 was not stored")
    assert not stored(server, "small")


def test_a_consumer_goes_on_where_it_was(server: LogServer) -> None:
    topic = orders(server, "orders-read", 20)
    first = run(server, "kafka_python.orders_consumer", "--topic", topic, "--group", "read", "--max", "8")
    second = run(server, "kafka_python.orders_consumer", "--topic", topic, "--group", "read", "--max", "12")
    assert len(first) == 8
    assert sorted(int(line.split()[1]) for line in first + second) == list(range(1, 21))


def test_a_consumer_ends_cleanly_by_ctrl_c(server: LogServer) -> None:
    topic = orders(server, "orders-interrupted", 5)
    with running(server, "kafka_python.orders_consumer", "--topic", topic, "--group", "interrupted") as consumer:
        consumer.read(5)
        assert consumer.stop()[5:] == ["stopped"]


def test_workers_share_and_take_over_from_a_killed_one(server: LogServer) -> None:
    topic = orders(server, "orders-shared", 100, partitions=4)
    arguments = ["--topic", topic, "--group", "shared", "--session-timeout-ms", "1000"]
    with (
        running(server, "kafka_python.orders_group", *arguments) as one,
        running(server, "kafka_python.orders_group", *arguments) as two,
    ):
        shares = [owned(worker.read_until(owns_two)) for worker in (one, two)]
        assert sorted(shares[0] | shares[1]) == [0, 1, 2, 3]
        killed = one.kill()
        assert owned(two.read_until(lambda line: line.startswith("owns"))) == {0, 1, 2, 3}
        assert run(server, "kafka_python.orders_producer", "--topic", topic, "--count", "40")
        two.read_until(lambda _: len(places(killed + two.lines)) == 140)
        two.stop()
    assert sum(committed(server, "shared", topic).values()) == 140


def test_a_static_worker_is_back_at_once(server: LogServer) -> None:
    topic = orders(server, "orders-static", 30)
    arguments = ["--topic", topic, "--group", "static"]
    with running(server, "kafka_python.orders_group", *arguments, "--instance", "a") as one:
        one.read_until(lambda line: len(numbers(one.lines)) == 30)
        one.kill()
    # Its session lasts for 45 s, longer than the tests wait.
    run(server, "kafka_python.orders_producer", "--topic", topic, "--count", "5")
    with running(server, "kafka_python.orders_group", *arguments, "--instance", "a") as again:
        again.read_until(lambda line: line.startswith("partition") and line.endswith("order 5"))
        assert owned(again.lines[0]) == {0, 1, 2}
        again.stop(signal.SIGTERM)


def test_a_failed_order_stays_next_in_line(server: LogServer) -> None:
    topic = orders(server, "orders-charged", 6, partitions=1)
    with Producer(server.grpc) as producer:
        producer.send(topic, b"nonsense", key=b"customer-0").result(timeout=10)
        producer.send(topic, b'{"order": 8, "amount_cents": 5}', key=b"customer-0").result(timeout=10)
    arguments = ["--topic", topic, "--group", "charged"]
    told = f"{topic} 0 offset 6 stops the work: not an order: b'nonsense'"
    lines = run(server, "kafka_python.manual_commit", *arguments, code=1, told=told)
    assert [line.rpartition(" ")[2] for line in lines] == list("123456")
    assert committed(server, "charged", topic) == {0: 6}
    assert run(server, "kafka_python.manual_commit", *arguments, code=1, told=told) == []


def test_what_was_charged_is_committed_at_ctrl_c(server: LogServer) -> None:
    topic = orders(server, "orders-charged-stopped", 9)
    arguments = ["--topic", topic, "--group", "charged-stopped", "--batch", "1000"]
    with running(server, "kafka_python.manual_commit", *arguments) as charging:
        charging.read(9)
        assert charging.stop()[9:] == ["charged 9 orders"]
    assert sum(committed(server, "charged-stopped", topic).values()) == 9


def test_an_order_s_events_share_a_partition_whichever_process_sends_them(server: LogServer) -> None:
    make_topic(server, "order-partitions", 6)
    for _ in range(2):
        run(server, "kafka_python.order_partitioner", "--topic", "order-partitions", "--orders", "30")
    records = stored(server, "order-partitions")
    assert len(records) == 240
    partitions = set()
    for order in range(1, 31):
        prefix = f"order-{order}/".encode()
        mine = [record for record in records if record.key is not None and record.key.startswith(prefix)]
        assert [record.value for record in mine] == [b"created", b"paid", b"packed", b"shipped"] * 2
        assert len({record.partition for record in mine}) == 1
        partitions.add(mine[0].partition)
    assert len(partitions) > 1
