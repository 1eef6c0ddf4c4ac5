"""Topics: names, settings, limits; created, altered, deleted through the metadata store's watch only."""

import asyncio
import errno
from pathlib import Path

import pytest

from logserver.broker.topics import TOPICS_PREFIX, TopicRecord
from logserver.errors import ErrorCode, LogServerError
from logserver.metadata import Put

from .faulty_disk import FaultyDisk
from .harness import HeldCommitter, batch, until
from .nodes import BrokerNode, committed, read_all, store
from .test_partition import refused


async def test_a_topic_is_there_when_its_creation_is_answered(node: BrokerNode) -> None:
    record = await node.broker.create_topic("flights", 3, {"retention.ms": "1000"})
    topic = node.broker.topic("flights")
    assert topic.record == record and len(topic.partitions) == 3
    assert topic.settings.retention_ms == 1000 and topic.settings.segment_bytes == 1 << 30
    assert [await store(partition, batch("x")) for partition in topic.partitions] == [0, 0, 0]
    assert [found.name for found in node.broker.topics()] == ["flights"]
    assert node.store.get(TOPICS_PREFIX + b"flights") is not None


async def test_a_creation_is_one_value_for_all_partitions(node: BrokerNode) -> None:
    before = node.store.revision
    await node.broker.create_topic("t", 50, {})
    assert node.store.revision == before + 1


async def test_a_topic_of_many_partitions_keeps_nobody_waiting(node: BrokerNode) -> None:
    seen: set[int] = set()
    creating = asyncio.ensure_future(node.broker.create_topic("wide", 300, {}))
    while not creating.done():
        seen.add(sum(1 for _ in node.broker.partitions()))
        await asyncio.sleep(0)
    await creating
    assert len(seen) > 10 and node.broker.topic("wide").record.partitions == 300
    seen.clear()
    deleting = asyncio.ensure_future(node.broker.delete_topic("wide"))
    while not deleting.done():
        seen.add(len(list(node.path.glob("wide-*[0-9]"))))
        await asyncio.sleep(0)
    await deleting
    assert len(seen) > 10
    assert len(list(node.path.glob("wide-*"))) == 0
    await node.broker.create_topic("wide", 300, {})
    assert await store(node.broker.partition("wide", 299), batch("x")) == 0


async def test_a_topic_appears_through_the_watch_alone(node: BrokerNode) -> None:
    record = TopicRecord("elsewhere", "AAAAAAAAAAAAAAAAAAAAAg", 2, {"retention.ms": "5"})
    await node.store.txn((), (Put(record.key, record.to_value()),))
    await until(lambda: bool(node.broker.topics()))
    assert node.broker.topic("elsewhere").settings.retention_ms == 5
    assert await store(node.broker.partition("elsewhere", 1), batch("x")) == 0


async def test_another_topic_of_the_same_name_takes_its_place_at_once(node: BrokerNode) -> None:
    partition = await node.topic()
    await store(partition, batch("old"))
    record = node.broker.topic("t").record._replace(topic_id="AAAAAAAAAAAAAAAAAAAAAg", partitions=2)
    await node.store.txn((), (Put(record.key, record.to_value()),))
    await until(lambda: node.broker.topic("t").record == record)
    with refused(ErrorCode.not_leader_or_follower, "its topic was deleted"):
        partition.append(batch("late"))
    assert [await store(fresh, batch("new")) for fresh in node.broker.topic("t").partitions] == [0, 0]
    assert await read_all(node.broker.partition("t", 0)) == [b"new"]


async def test_topic_ids_are_all_different(node: BrokerNode) -> None:
    ids = [(await node.broker.create_topic(f"t{number}", 1, {})).topic_id for number in range(20)]
    assert len(set(ids)) == 20 and {len(topic_id) for topic_id in ids} == {22}


@pytest.mark.parametrize("name", ["a", "A-b.c", "0", "-", "...", "a" * 249, "a-1", "x.y", "-delete"])
async def test_names_that_kafka_allows(node: BrokerNode, name: str) -> None:
    await node.broker.create_topic(name, 1, {})
    await store(node.broker.partition(name, 0), batch("x"))
    await node.stop()
    await node.start()
    assert await read_all(node.broker.partition(name, 0)) == [b"x"]
    await node.broker.delete_topic(name)
    assert node.broker.topics() == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "'' is not valid: it is empty"),
        (".", "'.' and '..' are no names"),
        ("..", "'.' and '..' are no names"),
        ("a" * 250, "it has 250 characters, 249 are allowed"),
        ("a b", "only letters and digits of ASCII"),
        ("a/b", "only letters and digits of ASCII"),
        ("../x", "only letters and digits of ASCII"),
        ("a\n", "only letters and digits of ASCII"),
        ("a\0", "only letters and digits of ASCII"),
        ("ä", "only letters and digits of ASCII"),
        ("٣", "only letters and digits of ASCII"),
        ("__logserver_metadata", "the server keeps this name for itself"),
        ("__consumer_offsets", "the server keeps this name for itself"),
    ],
)
async def test_names_that_kafka_refuses(held: BrokerNode, name: str, words: str) -> None:
    with refused(ErrorCode.invalid_topic_exception, words):
        await held.broker.create_topic(name, 1, {})
    assert held.broker.topics() == []


async def test_a_dot_and_an_underscore_are_the_same_in_names(node: BrokerNode) -> None:
    await node.broker.create_topic("a.b", 1, {})
    with refused(ErrorCode.invalid_topic_exception, r"'a_b' collides with the topic 'a\.b'"):
        await node.broker.create_topic("a_b", 1, {})
    await node.broker.create_topic("ab", 1, {})


async def test_a_topic_is_created_once(node: BrokerNode) -> None:
    await node.broker.create_topic("t", 1, {})
    with refused(ErrorCode.topic_already_exists, "'t' exists already"):
        await node.broker.create_topic("t", 1, {})
    racers = [node.broker.create_topic("race", 1, {}) for _ in range(10)]
    results = await asyncio.gather(*racers, return_exceptions=True)
    errors = [result for result in results if isinstance(result, LogServerError)]
    assert len(errors) == 9 and {error.code for error in errors} == {ErrorCode.topic_already_exists}


async def test_of_racing_names_that_collide_one_is_created(node: BrokerNode) -> None:
    racers = [node.broker.create_topic(name, 1, {}) for name in ("a.b.c", "a_b.c", "a.b_c", "a_b_c")]
    results = await asyncio.gather(*racers, return_exceptions=True)
    assert sum(isinstance(result, TopicRecord) for result in results) == 1
    assert len(node.broker.topics()) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"retention.mss": "1"}, "did you mean retention.ms"),
        ({"log.retention.ms": "1"}, "setting of the server; the topic's is retention.ms"),
        ({"utter.nonsense": "1"}, "utter.nonsense is not a setting of a topic"),
        ({"retention.ms": "soon"}, "retention.ms can't be 'soon'"),
        ({"retention.ms": "-2"}, "retention.ms can't be '-2' .too small"),
        ({"segment.bytes": "1"}, "segment.bytes can't be '1' .too small"),
        ({"max.message.bytes": "-1"}, "max.message.bytes can't be '-1'"),
        ({"max.message.bytes": str(2**31)}, "too large"),
        ({"cleanup.policy": "shred"}, "cleanup.policy can't be 'shred'"),
        ({"flush.messages": "0"}, "flush.messages can't be '0'"),
        ({"retention.ms": "1", "segment.bytes": ""}, "segment.bytes can't be ''"),
    ],
)
async def test_wrong_settings_are_named(node: BrokerNode, settings: dict[str, str], words: str) -> None:
    with refused(ErrorCode.invalid_config, words):
        await node.broker.create_topic("new", 1, settings)
    await node.broker.create_topic("t", 1, {"retention.ms": "7"})
    with refused(ErrorCode.invalid_config, words):
        await node.broker.alter_topic("t", settings)
    assert [topic.name for topic in node.broker.topics()] == ["t"]
    assert node.broker.topic("t").record.settings == {"retention.ms": "7"}


@pytest.mark.parametrize(("partitions", "shown"), [(-1, "-1"), (10_001, "10001"), (2**31 - 1, "2147483647")])
async def test_a_wrong_number_of_partitions_is_named(node: BrokerNode, partitions: int, shown: str) -> None:
    with refused(ErrorCode.invalid_partitions, rf"1 to max\.partitions\.per\.topic=10000 partitions, {shown} were"):
        await node.broker.create_topic("t", partitions, {})
    assert node.broker.topics() == []


async def test_the_servers_limits_hold_also_for_creations_that_race(tmp_path: Path) -> None:
    node = BrokerNode(
        tmp_path / "data",
        settings={"max.topics": "3", "max.partitions": "12", "max.partitions.per.topic": "5", "num.partitions": "4"},
    )
    await node.start()
    results = await asyncio.gather(
        *(node.broker.create_topic(f"t{number}", 0, {}) for number in range(10)), return_exceptions=True
    )
    errors = [str(result) for result in results if isinstance(result, LogServerError)]
    assert len(errors) == 7 and all("max.topics=3" in text or "max.partitions=12" in text for text in errors)
    assert [len(topic.partitions) for topic in node.broker.topics()] == [4, 4, 4]
    with refused(ErrorCode.invalid_partitions, "that would make 13 partitions.*max.partitions=12"):
        await node.broker.create_partitions(node.broker.topics()[0].name, 5)
    await node.broker.delete_topic(node.broker.topics()[2].name)
    growing = [node.broker.create_partitions(topic.name, 5) for topic in node.broker.topics()]
    await asyncio.gather(*growing)
    with refused(ErrorCode.invalid_partitions, "that would make 13 partitions"):
        await node.broker.create_topic("more", 3, {})
    with refused(ErrorCode.invalid_partitions, "1 to max.partitions.per.topic=5"):
        await node.broker.create_topic("wide", 6, {})
    await node.broker.create_topic("small", 1, {})
    with refused(ErrorCode.policy_violation, "max.topics=3"):
        await node.broker.create_topic("more", 1, {})
    await node.stop()


async def test_validate_only_changes_nothing(node: BrokerNode) -> None:
    await node.broker.create_topic("t", 1, {})
    revision = node.store.revision
    assert (await node.broker.create_topic("new", 2, {}, validate_only=True)).partitions == 2
    assert (await node.broker.alter_topic("t", {"retention.ms": "1"}, validate_only=True)).settings != {}
    assert (await node.broker.create_partitions("t", 2, validate_only=True)).partitions == 2
    with refused(ErrorCode.invalid_config):
        await node.broker.create_topic("new", 1, {"x": "y"}, validate_only=True)
    with refused(ErrorCode.topic_already_exists):
        await node.broker.create_topic("t", 1, {}, validate_only=True)
    assert node.store.revision == revision and len(node.broker.topics()) == 1


async def test_altered_settings_are_in_force_at_once(node: BrokerNode) -> None:
    partition = await node.topic(max_message_bytes="200")
    with refused(ErrorCode.message_too_large, "max.message.bytes=200"):
        partition.append(batch("x" * 200))
    await node.broker.alter_topic("t", {"max.message.bytes": "1000", "retention.ms": "1"})
    assert await store(partition, batch("x" * 200)) == 0
    await node.broker.alter_topic("t", {"retention.bytes": "5"}, reset=["max.message.bytes"])
    assert node.broker.topic("t").record.settings == {"retention.ms": "1", "retention.bytes": "5"}
    assert await store(partition, batch("x" * 2000)) == 1
    await node.broker.alter_topic("t", {}, reset=["retention.ms", "flush.ms"])
    assert node.broker.topic("t").record.settings == {"retention.bytes": "5"}


async def test_a_setting_is_not_both_set_and_reset(node: BrokerNode) -> None:
    await node.topic()
    with refused(ErrorCode.invalid_config, "retention.ms is both set and reset"):
        await node.broker.alter_topic("t", {"retention.ms": "1"}, reset=["retention.ms"])
    with refused(ErrorCode.invalid_config, "did you mean retention.ms"):
        await node.broker.alter_topic("t", {}, reset=["retention.mss"])


async def test_alterations_that_race_are_all_made(node: BrokerNode) -> None:
    await node.topic()
    names = ["retention.ms", "retention.bytes", "segment.ms", "flush.messages", "delete.retention.ms"]
    alterations = [node.broker.alter_topic("t", {name: "2000"}) for name in names]
    await asyncio.gather(*alterations, node.broker.create_partitions("t", 3))
    topic = node.broker.topic("t")
    assert topic.record.settings == dict.fromkeys(names, "2000") and len(topic.partitions) == 3


async def test_partitions_are_only_added(node: BrokerNode) -> None:
    partition = await node.topic(partitions=2)
    await store(partition, batch("kept"))
    await node.broker.create_partitions("t", 4)
    topic = node.broker.topic("t")
    assert len(topic.partitions) == 4 and topic.partitions[0] is partition
    assert await store(topic.partitions[3], batch("new")) == 0
    assert await read_all(partition) == [b"kept"]
    for total in (4, 1, 0, -1, -(2**31)):
        with refused(ErrorCode.invalid_partitions, f"has 4 partitions.*only be raised, {total} were"):
            await node.broker.create_partitions("t", total)


async def test_what_is_not_there_cannot_be_changed(node: BrokerNode) -> None:
    for change in (
        node.broker.delete_topic("absent"),
        node.broker.alter_topic("absent", {}),
        node.broker.create_partitions("absent", 2),
        node.broker.delete_records("absent", 0, 0),
    ):
        with refused(ErrorCode.unknown_topic_or_partition, "'absent' does not exist"):
            await change
    await node.topic()
    for number in (1, -1, 2**31 - 1):
        with refused(ErrorCode.unknown_topic_or_partition, f"has no partition {number}; its partitions are 0 to 0"):
            node.broker.partition("t", number)


async def test_a_deleted_topic_is_gone_and_one_of_its_name_is_a_new_one(node: BrokerNode) -> None:
    partition = await node.topic()
    await store(partition, batch("old"))
    old_id = node.broker.topic("t").record.topic_id
    await node.broker.delete_topic("t")
    with refused(ErrorCode.unknown_topic_or_partition):
        node.broker.partition("t", 0)
    with refused(ErrorCode.not_leader_or_follower, "its topic was deleted"):
        partition.append(batch("late"))
    again = await node.topic()
    assert again is not partition and node.broker.topic("t").record.topic_id != old_id
    assert await read_all(again) == [] and await store(again, batch("new")) == 0
    for end in (node.stop, node.crash):
        await end()
        await node.start()
        assert await read_all(node.broker.partition("t", 0)) == [b"new"]


async def test_deleting_and_creating_again_under_load(node: BrokerNode) -> None:
    acknowledged: dict[str, list[bytes]] = {}
    stop = False

    async def produce(name: int) -> None:
        number = 0
        while not stop:
            value = b"%d-%d" % (name, number)
            number += 1
            try:
                topic = node.broker.topic("t")
                partition = topic.partitions[name % 2]
                await committed(partition, partition.append(batch(value)).last_offset)
                acknowledged.setdefault(topic.record.topic_id, []).append(value)
            except LogServerError as error:
                assert error.code in (ErrorCode.unknown_topic_or_partition, ErrorCode.not_leader_or_follower), error
                await asyncio.sleep(0)

    await node.topic("t", partitions=2)
    producers = [asyncio.ensure_future(produce(name)) for name in range(4)]
    for _ in range(15):
        topic_id = node.broker.topic("t").record.topic_id
        await until(lambda topic_id=topic_id: len(acknowledged.get(topic_id, ())) >= 5)
        await node.broker.delete_topic("t")
        await node.broker.create_topic("t", 2, {})
    topic_id = node.broker.topic("t").record.topic_id
    await until(lambda: len(acknowledged.get(topic_id, ())) >= 5)
    stop = True
    await asyncio.gather(*producers)
    stored = [value for partition in node.broker.topic("t").partitions for value in await read_all(partition)]
    assert sorted(stored) == sorted(acknowledged[topic_id]) and len(acknowledged) == 16
    left = [path.name for path in node.path.iterdir() if path.is_dir()]
    assert sorted(left) == ["__logserver_metadata-0", "t-0", "t-1"]


async def test_files_of_a_deleted_topic_that_stay_are_no_trouble(tmp_path: Path) -> None:
    disk = FaultyDisk()
    node = BrokerNode(tmp_path / "data", disk=disk)
    await node.start()
    await store(await node.topic(), batch("old"))
    disk.fail("rename", "*/t-0", times=1)
    await node.broker.delete_topic("t")
    partition = await node.topic()
    with refused(ErrorCode.kafka_storage_error, "t-0 belongs to the topic id .*move it away"):
        partition.append(batch("new"))
    other = await node.topic("other")
    assert await store(other, batch("x")) == 0
    disk.fail("remove_tree", times=1)
    await node.broker.delete_topic("other")
    assert await store(await node.topic("other"), batch("y")) == 0
    await node.stop()


async def test_a_partition_that_cannot_be_made_is_offline_alone(tmp_path: Path) -> None:
    disk = FaultyDisk()
    node = BrokerNode(tmp_path / "data", disk=disk)
    await node.start()
    disk.fail("create", "*/t-1/*", errno.EIO)
    await node.broker.create_topic("t", 3, {})
    partitions = node.broker.topic("t").partitions
    with refused(ErrorCode.kafka_storage_error, "Input/output error"):
        partitions[1].append(batch("x"))
    assert await store(partitions[0], batch("x")) == await store(partitions[2], batch("x")) == 0
    disk.heal()
    partitions[1].lead(0)
    assert await store(partitions[1], batch("x")) == 0
    await node.stop()


async def test_files_that_are_not_ours_in_a_partitions_directory_put_it_offline_at_most(tmp_path: Path) -> None:
    node = BrokerNode(tmp_path / "data")
    await node.start()
    await node.broker.create_topic("t", 2, {})
    for partition in node.broker.topic("t").partitions:
        await store(partition, batch("x"))
    await node.stop()
    for name in ("notes.log", "x.snapshot", "00.index"):
        (node.path / "t-0" / name).write_bytes(b"what is this")
    await node.start()
    partitions = node.broker.topic("t").partitions
    assert await read_all(partitions[1]) == [b"x"]
    if partitions[0].unavailable is None:
        assert await read_all(partitions[0]) == [b"x"]
    else:
        assert partitions[0].unavailable.code is ErrorCode.kafka_storage_error
    await node.stop()


async def test_a_full_disk_refuses_changes_and_takes_them_when_there_is_space(tmp_path: Path) -> None:
    disk = FaultyDisk()
    node = BrokerNode(tmp_path / "data", disk=disk)
    await node.start()
    await node.topic()
    disk.fill()
    for change in (
        node.broker.create_topic("new", 1, {}),
        node.broker.alter_topic("t", {"retention.ms": "1"}),
        node.broker.delete_topic("t"),
        node.broker.init_producer_id(),
    ):
        with refused(ErrorCode.kafka_storage_error, "no space left"):
            await change
    assert [topic.name for topic in node.broker.topics()] == ["t"]
    disk.heal()
    await node.broker.create_topic("new", 1, {})
    await node.broker.alter_topic("t", {"retention.ms": "1"})
    await node.broker.delete_topic("t")
    assert [topic.name for topic in node.broker.topics()] == ["new"]
    await node.stop()


async def test_changes_fail_after_the_metadata_log_is_lost_and_records_go_on(held: BrokerNode) -> None:
    partition = await held.topic()
    assert isinstance(held.committer, HeldCommitter) and held.directory is not None
    creating = asyncio.ensure_future(held.broker.create_topic("new", 1, {}))
    await until(lambda: bool(held.committer.pending))  # type: ignore[attr-defined]
    held.committer.lose(dict(held.directory)[("__logserver_metadata", 0)], message="the disk burned")
    with refused(ErrorCode.kafka_storage_error, "metadata log is offline: the disk burned; restart"):
        await creating
    with refused(ErrorCode.kafka_storage_error, "the disk burned"):
        await held.broker.delete_topic("t")
    storing = asyncio.ensure_future(store(partition, batch("x")))
    await until(lambda: bool(held.committer.pending))  # type: ignore[attr-defined]
    held.committer.commit()
    assert await storing == 0


async def test_stopping_answers_changes_that_are_waiting(held: BrokerNode) -> None:
    creating = asyncio.ensure_future(held.broker.create_topic("new", 1, {}))
    assert isinstance(held.committer, HeldCommitter)
    await until(lambda: bool(held.committer.pending))  # type: ignore[attr-defined]
    stopping = asyncio.ensure_future(held.broker.stop())
    await stopping
    held.committer.commit()
    with refused(ErrorCode.not_leader_or_follower, "stopping"):
        await creating


async def test_a_change_that_cannot_be_applied_is_told_and_not_waited_for(node: BrokerNode) -> None:
    waiting = asyncio.ensure_future(node.broker.create_topic("after", 1, {}))
    await node.store.txn((), (Put(TOPICS_PREFIX + b"broken", b"no JSON"),))
    # It may have been applied before the broken one came.
    (result,) = await asyncio.gather(waiting, return_exceptions=True)
    assert isinstance(result, (TopicRecord, LogServerError))
    with refused(ErrorCode.unknown_server_error, "restart"):
        await node.broker.create_topic("later", 1, {})


async def test_deleted_records_are_gone_for_good(node: BrokerNode) -> None:
    partition = await node.topic()
    for number in range(5):
        await store(partition, batch(str(number)))
    assert await node.broker.delete_records("t", 0, 2) == 2
    assert await node.broker.delete_records("t", 0, 1) == 2
    assert await read_all(partition) == [b"2", b"3", b"4"]
    with refused(ErrorCode.offset_out_of_range, "offset 1 .* from 2 to 5"):
        await asyncio.wait_for(_read(partition, 1), 5)
    for offset in (6, -2, 2**62):
        with refused(ErrorCode.offset_out_of_range, f"before offset {offset}: they go from 2 to 5"):
            await node.broker.delete_records("t", 0, offset)
    await node.crash()
    await node.start()
    assert node.broker.partition("t", 0).log_start_offset == 2
    assert await node.broker.delete_records("t", 0, -1) == 5
    await node.stop()
    await node.start()
    partition = node.broker.partition("t", 0)
    assert (partition.log_start_offset, partition.high_watermark) == (5, 5)
    assert await store(partition, batch("5")) == 5


async def _read(partition, offset):  # type: ignore[no-untyped-def]
    from .nodes import read

    return await read(partition, offset)


async def test_records_of_many_partitions_are_deleted_at_once(node: BrokerNode) -> None:
    await node.topic(partitions=8)
    partitions = node.broker.topic("t").partitions
    for partition in partitions:
        for _ in range(3):
            await store(partition, batch("x"))
    deletions = [node.broker.delete_records("t", number, number % 3 + 1) for number in range(8)]
    assert await asyncio.gather(*deletions) == [number % 3 + 1 for number in range(8)]
    await node.crash()
    await node.start()
    assert [partition.log_start_offset for partition in node.broker.topic("t").partitions] == [
        number % 3 + 1 for number in range(8)
    ]


async def test_records_are_not_deleted_where_only_compaction_deletes(node: BrokerNode) -> None:
    await node.topic(cleanup_policy="compact")
    with refused(ErrorCode.policy_violation, "cleanup.policy=compact"):
        await node.broker.delete_records("t", 0, 0)
    await node.broker.alter_topic("t", {"cleanup.policy": "compact,delete"})
    assert await node.broker.delete_records("t", 0, -1) == 0
