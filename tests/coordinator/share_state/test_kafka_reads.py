"""Apache Kafka's own tools read the states that are written here, and pass by what is not theirs."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from logserver_records.codec import decode_batch
from logserver_segments.log import Log

from logserver.coordinator.delivery.stored import Stored
from logserver.coordinator.share_state.formats import (
    EXTRAS,
    SNAPSHOT,
    StateBatch,
    decode_key,
    decode_snapshot,
    decode_update,
)
from logserver.coordinator.share_state.limits import StateLimits
from logserver.coordinator.share_state.machine import ShareMachine
from logserver.coordinator.share_state.share_state import SHARE_GROUP_STATE
from logserver.coordinator.share_state.state_key import StateKey
from logserver.coordinator.share_state.writing import Batch
from logserver.testing import LogServer

from ...other_clients.kafka_tools import KafkaTools
from ..formats.test_kafka_reads import NOW_MS, files, write
from .nodes import StatesNode, Writer, acknowledged, available
from .strategies import keys, states

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

RECORD = re.compile(
    r"^\| offset: (\d+) .*? key: (?:(\{.*\}) payload: (.*)|Unknown record type (\d+) .*)$", re.MULTILINE
)


def written() -> list[bytes]:
    """Returns record batches with snapshots, updates and what is ours of arbitrary states."""
    found: list[bytes] = []

    @settings(max_examples=40, database=None, suppress_health_check=list(HealthCheck))
    @given(keys, states(), states())
    def collect(key: StateKey, first: Stored, second: Stored) -> None:
        state = ShareMachine(StateLimits()).state(key)
        state.hand_over()
        for number, stored in enumerate((first, second)):
            batch = Batch(NOW_MS)
            if number:
                batch.update(key, state, stored)
            else:
                batch.snapshot(key, state, stored)
            found.append(batch.build())
        batch = Batch(NOW_MS)
        batch.forget(key)
        found.append(batch.build())

    collect()
    return found


def batches(found: tuple[StateBatch, ...]) -> list[dict[str, int]]:
    names = ("firstOffset", "lastOffset", "deliveryState", "deliveryCount")
    return [dict(zip(names, batch, strict=True)) for batch in found]


def as_kafka_prints(key_data: bytes, value: bytes | None) -> tuple[Any, Any]:
    """Returns the JSON of a record's key and value."""
    record_type, key = decode_key(key_data)
    data = {"groupId": key.group_id, "topicId": key.topic_id, "partition": key.partition}
    printed = {"type": str(record_type), "data": data}
    if value is None:
        return printed, None
    if record_type == SNAPSHOT:
        snapshot = decode_snapshot(value)
        fields: dict[str, Any] = {
            "snapshotEpoch": snapshot.snapshot_epoch,
            "stateEpoch": snapshot.state_epoch,
            "leaderEpoch": snapshot.leader_epoch,
            "startOffset": snapshot.start_offset,
            "createTimestamp": snapshot.create_ms,
            "writeTimestamp": snapshot.write_ms,
            "stateBatches": batches(snapshot.batches),
        }
        complete = snapshot.delivery_complete_count
    else:
        update = decode_update(value)
        fields = {
            "snapshotEpoch": update.snapshot_epoch,
            "leaderEpoch": update.leader_epoch,
            "startOffset": update.start_offset,
            "stateBatches": batches(update.batches),
        }
        complete = update.delivery_complete_count
    if complete != -1:
        fields["deliveryCompleteCount"] = complete
    return printed, {"version": "0", "data": fields}


def test_kafka_prints_the_states_that_were_written(tmp_path: Path) -> None:
    payloads = written()

    def fill(log: Log) -> None:
        for payload in payloads:
            log.append(payload, 0, NOW_MS)

    folder = write(tmp_path, SHARE_GROUP_STATE, 1 << 30, fill)
    printed = RECORD.findall(KafkaTools().dump("--share-group-state-decoder", files=files(folder, "log")))
    records = [record for payload in payloads for record in decode_batch(payload, max_decompressed_bytes=1 << 26)]
    assert len(printed) == len(records)
    ours = 0
    for number, ((offset, key, value, unknown), record) in enumerate(zip(printed, records, strict=True)):
        assert int(offset) == number
        assert record.key is not None
        if decode_key(record.key)[0] == EXTRAS:
            assert int(unknown) == EXTRAS
            ours += 1
            continue
        wanted = as_kafka_prints(record.key, record.value)
        assert (json.loads(key), None if value == "<DELETE>" else json.loads(value)) == wanted
    assert ours > 50


async def test_the_formatter_of_kafka_prints_what_a_server_keeps(tmp_path: Path) -> None:
    node = await StatesNode(tmp_path / "data", settings={"share.coordinator.state.topic.num.partitions": "1"}).start()
    writer = Writer(node)
    await writer.open(leader_epoch=3)
    writer.change(available(0, 9), acknowledged(10))
    await writer.settled()
    writer.change(acknowledged(0, 3), start=4)
    await writer.settled()
    await node.stop()
    formatter = "org.apache.kafka.tools.consumer.group.share.ShareGroupStateMessageFormatter"
    with LogServer(tmp_path / "data") as server:
        where = ("--bootstrap-server", server.kafka, "--topic", SHARE_GROUP_STATE, "--from-beginning")
        limit = ("--max-messages", "4", "--timeout-ms", "30000")
        done = await asyncio.to_thread(
            KafkaTools().run, "consumer.ConsoleConsumer", *where, "--formatter", formatter, *limit
        )
    assert done.status == 0, done.printed
    # It leaves out what it does not know.
    printed, output = [], done.output.strip()
    while output:
        record, end = json.JSONDecoder().raw_decode(output)
        printed.append(record)
        output = output[end:].strip()
    assert [record["key"]["type"] for record in printed] == [0, 1]
    assert printed[0]["value"]["data"]["stateBatches"] == batches((StateBatch(0, 9, 0, 1), StateBatch(10, 10, 2, 1)))
    assert printed[0]["value"]["data"]["leaderEpoch"] == 3
    assert printed[1]["value"]["data"]["startOffset"] == 4
    assert printed[1]["value"]["data"]["deliveryCompleteCount"] == 1
