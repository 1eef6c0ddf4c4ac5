"""What clients that do not read, or send what grows, cost the server in memory. Measured in a process of its own."""

import threading
from collections.abc import Iterator

import grpc
import pytest
from logserver_records.compression import Compression
from logserverpb.v1 import admin_pb2, common_pb2, log_pb2

from tests.broker.harness import batch
from tests.daemon.processes import Client, ServerProcess

from .servers import RECORDS, at, batches

MIB = 1 << 20
LOG_BYTES = 200 * MIB


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with 200 MB in a log."""
    data_dir = tmp_path_factory.mktemp("full") / "data"
    # Whether it is durable is not what is measured here.
    with ServerProcess(data_dir, settings={"log.flush.interval.messages": "1000000"}) as server:
        with Client(server.grpc) as client:
            for name in ("plain", "packed"):
                client.admin.CreateTopic(admin_pb2.CreateTopicRequest(name=name, partitions=2))
            payload = batch(b"x" * 1_000_000)
            packed = batch(b"x" * 8_000_000, compression=Compression.ZSTD)

            def requests() -> Iterator[log_pb2.ProduceStreamRequest]:
                for number in range(LOG_BYTES // len(payload) // 2):
                    items = [batches(payload, "plain", partition) for partition in (0, 1)]
                    yield log_pb2.ProduceStreamRequest(correlation_id=number, partitions=items)
                for number in range(25):
                    yield log_pb2.ProduceStreamRequest(correlation_id=number, partitions=[batches(packed, "packed")])

            for response in client.log.ProduceStream(requests()):
                for answer in response.acknowledgements:
                    assert not any(result.HasField("error") for result in answer.results)
        yield server


def subscribe(client: Client, topic: str, format: int = 0, credit: int = 1 << 40):  # type: ignore[no-untyped-def]
    """Subscribes to a topic with all the credit there is and returns the call; it ends when it is cancelled."""
    more = threading.Event()

    def commands() -> Iterator[log_pb2.SubscribeRequest]:
        yield log_pb2.SubscribeRequest(options=log_pb2.SubscribeOptions(format=format))
        items = [
            log_pb2.AssignedPartition(topic=topic, partition=number, position=at(earliest=True)) for number in (0, 1)
        ]
        yield log_pb2.SubscribeRequest(assign=log_pb2.Assign(generation=1, partitions=items))
        for _ in range(10):
            yield log_pb2.SubscribeRequest(credit=log_pb2.Credit(bytes=credit))
        more.wait()

    call = client.log.Subscribe(commands())
    call.add_callback(more.set)
    return call


def settle(server: ServerProcess, client: Client) -> int:
    """Returns the memory in use once it no longer rises."""
    highest = 0
    for _ in range(200):
        client.admin.DescribeCluster(admin_pb2.DescribeClusterRequest())
        highest = max(highest, server.rss_anon_bytes)
    return highest


@pytest.mark.parametrize(("topic", "form"), [("plain", 0), ("plain", RECORDS), ("packed", RECORDS)])
def test_a_reader_that_never_reads_costs_bounded_memory(full: ServerProcess, topic: str, form: int) -> None:
    with Client(full.grpc) as client:
        before = settle(full, client)
        slow = [Client(full.grpc) for _ in range(5)]
        calls = [subscribe(each, topic, form) for each in slow]
        # Each has got its first message, so the server is sending as fast as they take, which is not at all.
        for call in calls:
            next(call)
        after = settle(full, client)
        per_reader = (after - before) / len(calls)
        # One response waiting and what the transport holds; a plain batch of 8 MB takes more than one of 1 MB.
        assert per_reader < (48 if topic == "packed" else 12) * MIB, per_reader / MIB
        for call in calls:
            call.cancel()
        for each in slow:
            each.channel.close()


def test_a_fetch_of_bombs_costs_what_one_of_them_does(full: ServerProcess) -> None:
    with Client(full.grpc) as client:
        before = settle(full, client)
        target = log_pb2.FetchPartition(topic="packed", partition=0)
        request = log_pb2.FetchRequest(
            partitions=[target], format=common_pb2.RECORD_FORMAT_RECORDS, max_bytes=9_000_000
        )
        (data,) = client.log.Fetch(request).partitions
        assert 1 <= len(data.records) <= 2
        assert settle(full, client) - before < 64 * MIB


def test_a_message_of_empty_partitions_costs_little(full: ServerProcess) -> None:
    with Client(full.grpc) as client:
        before = settle(full, client)
        call = client.channel.unary_unary("/logserver.v1.Log/Produce")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\x0a\x00" * MIB)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
        assert settle(full, client) - before < 150 * MIB
