"""The door itself: health, reflection, limits on messages and calls, bytes that are no messages, isolation."""

import asyncio
import json

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from logserverpb.v1 import admin_pb2, log_pb2, log_pb2_grpc

from logserver.errors import ErrorCode
from tests.broker.harness import batch

from .servers import LONG_MS, ProduceStream, Server, Subscriber, at, batches, error_info, refused, soon

SERVICES = ("logserver.v1.Log", "logserver.v1.Admin")


@pytest.mark.parametrize("service", ["", *SERVICES])
async def test_health_is_serving(server: Server, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(server.channel)
    found = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    assert found.status == health_pb2.HealthCheckResponse.SERVING


async def test_health_of_an_unknown_service_is_not_found(server: Server) -> None:
    stub = health_pb2_grpc.HealthStub(server.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(health_pb2.HealthCheckRequest(service="nobody"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_who_watches_health_is_told_of_the_end(server: Server) -> None:
    watch = health_pb2_grpc.HealthStub(server.channel).Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    stopping = asyncio.ensure_future(server.daemon.stop())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()
    await stopping


class Reflection:
    """What a generic client does: it knows a server's address and nothing else."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        self.pool = descriptor_pool.DescriptorPool()
        self._added: set[str] = set()

    async def ask(self, **request: str) -> reflection_pb2.ServerReflectionResponse:
        call = self._stub.ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(**request))
        response = await call.read()
        await call.done_writing()
        return response

    async def services(self) -> list[str]:
        response = await self.ask(list_services="")
        return [service.name for service in response.list_services_response.service]

    async def learn(self, symbol: str) -> None:
        """Takes in the file that defines a symbol, and the files it needs."""
        await self._take(await self.ask(file_containing_symbol=symbol))

    async def _take(self, response: reflection_pb2.ServerReflectionResponse) -> None:
        assert not response.HasField("error_response"), response
        for data in response.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(data)
            if file.name in self._added:
                continue
            self._added.add(file.name)
            for needed in file.dependency:
                await self._take(await self.ask(file_by_filename=needed))
            self.pool.Add(file)


async def test_services_are_listed_by_reflection(server: Server) -> None:
    assert sorted(await Reflection(server.channel).services()) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "logserver.v1.Admin",
        "logserver.v1.Groups",
        "logserver.v1.Log",
        "logserver.v1.Queues",
        "logserver.v1.Transactions",
    ]


async def test_a_generic_client_creates_a_topic_produces_and_fetches_knowing_only_reflection(server: Server) -> None:
    channel = server.new_channel()
    generic = Reflection(channel)

    async def call(service: str, method: str, request: dict[str, object]) -> dict[str, object]:
        await generic.learn(service)
        descriptor = generic.pool.FindServiceByName(service).methods_by_name[method]
        asked, answered = (
            message_factory.GetMessageClass(kind) for kind in (descriptor.input_type, descriptor.output_type)
        )
        message = json_format.ParseDict(request, asked())
        unary = channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )
        return json.loads(json_format.MessageToJson(await unary(message)))

    await call("logserver.v1.Admin", "CreateTopic", {"name": "flights", "partitions": 2})
    records = [{"key": "VUE=", "value": "aGVsbG8="}, {"value": ""}]
    produced = await call(
        "logserver.v1.Log",
        "Produce",
        {"partitions": [{"topic": "flights", "partition": 1, "records": {"records": records}}]},
    )
    assert produced["results"][0]["lastOffset"] == "1"  # type: ignore[index]
    fetched = await call(
        "logserver.v1.Log",
        "Fetch",
        {"partitions": [{"topic": "flights", "partition": 1}], "format": "RECORD_FORMAT_RECORDS"},
    )
    found = fetched["partitions"][0]["records"]  # type: ignore[index]
    assert [(record.get("key"), record.get("value"), record.get("offset")) for record in found] == [
        ("VUE=", "aGVsbG8=", None),
        (None, "", "1"),
    ]


@pytest.mark.parametrize("server", [{"grpc.max.message.bytes": "65536"}], indirect=True)
async def test_a_message_over_the_limit_is_refused_and_the_connection_goes_on(server: Server) -> None:
    await server.topic()
    stream = ProduceStream(server)
    await stream.send(1, batches(batch("a")))
    await stream.answer(1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.store(batch(b"x" * 70_000))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    # gRPC's own words; they name both sizes, not the setting.
    assert "larger than max" in caught.value.details() and "65536" in caught.value.details()
    await stream.send(2, batches(batch("b")))
    assert (await stream.answer(2))[0].base_offset == 1
    await stream.send(3, batches(batch(b"x" * 70_000)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.answer(3)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    await server.store(batch("c"))
    assert await server.read_all() == [b"a", b"b", b"c"]


@pytest.mark.parametrize("server", [{"grpc.max.message.bytes": "2000000"}], indirect=True)
async def test_the_limit_on_messages_does_not_hold_for_what_the_server_sends(server: Server) -> None:
    await server.topic()
    await server.store(*[batch(b"x" * 1_000_000)] * 4)
    assert len((await server.fetch()).batches) > 4_000_000


@pytest.mark.parametrize("server", [{"grpc.max.concurrent.calls": "3"}], indirect=True)
async def test_calls_over_the_limit_are_refused(server: Server) -> None:
    await server.topic()
    target = log_pb2.FetchPartition(topic="t")
    request = log_pb2.FetchRequest(partitions=[target], max_wait_ms=LONG_MS)
    polls = [server.log.Fetch(request) for _ in range(3)]
    await soon(lambda: server.waiters() == 3)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.log.Fetch(request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    polls[0].cancel()
    await soon(lambda: server.waiters() == 2)
    await server.store(batch("a"))
    await asyncio.gather(*polls[1:])


HOSTILE = [
    b"\xff\xff\xff\xff",
    b"\x0a\x50abc",
    b"\x0a\xff\xff\xff\xff\x0f",
    b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x0b" * 200,
    b"\x00",
    bytes(range(256)),
]
"""Bytes that are no request of any kind: cut short, lengths beyond the end, groups without end, field number 0."""


@pytest.mark.parametrize("data", HOSTILE)
@pytest.mark.parametrize("method", ["Log/Produce", "Log/Fetch", "Log/ListOffsets", "Admin/CreateTopic"])
async def test_bytes_that_are_no_message_are_refused(server: Server, method: str, data: bytes) -> None:
    call = server.channel.unary_unary(f"/logserver.v1.{method}")
    with refused(
        ErrorCode.invalid_request, grpc.StatusCode.INVALID_ARGUMENT, f"{len(data)} bytes is not a logserver.v1."
    ):
        await call(data)


async def test_a_name_that_is_not_utf_8_is_refused(server: Server) -> None:
    with refused(ErrorCode.invalid_request, grpc.StatusCode.INVALID_ARGUMENT, "is not a logserver.v1.ProduceRequest"):
        await server.channel.unary_unary("/logserver.v1.Log/Produce")(b"\x0a\x03\x0a\x01\xff")


@pytest.mark.parametrize("data", HOSTILE)
@pytest.mark.parametrize("method", ["Subscribe", "ProduceStream"])
async def test_bytes_that_are_no_message_end_a_stream_and_no_other(server: Server, method: str, data: bytes) -> None:
    await server.topic()
    other = ProduceStream(server)
    await other.send(1, batches(batch("a")))
    call = server.channel.stream_stream(f"/logserver.v1.Log/{method}")()
    with refused(ErrorCode.invalid_request, grpc.StatusCode.INVALID_ARGUMENT, "bytes is not a logserver.v1."):
        await call.write(data)
        await call.read()
    await other.send(2, batches(batch("b")))
    assert (await other.answer(2))[0].base_offset == 1
    await other.end()


async def test_unknown_fields_are_passed_over(server: Server) -> None:
    await server.topic()
    request = log_pb2.FetchRequest(partitions=[log_pb2.FetchPartition(topic="t")]).SerializeToString()
    answer = await server.channel.unary_unary("/logserver.v1.Log/Fetch")(request + b"\xfa\x01\x03new")
    assert not log_pb2.FetchResponse.FromString(answer).partitions[0].HasField("error")


async def test_an_unknown_method_is_unimplemented(server: Server) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.channel.unary_unary("/logserver.v1.Log/Nothing")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("name", ["x" * 100_000, "ü" * 50_000, "\x01" * 50_000, "😀" * 20_000])
async def test_an_error_that_repeats_a_very_long_name_arrives(server: Server, name: str) -> None:
    not_found = refused(ErrorCode.unknown_topic_or_partition, grpc.StatusCode.NOT_FOUND, "does not exist; create it")
    with not_found:
        await server.admin.DescribeTopic(admin_pb2.DescribeTopicRequest(name=name))
    with refused(ErrorCode.invalid_topic_exception, grpc.StatusCode.INVALID_ARGUMENT, "is not valid"):
        await server.topic(name)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.topic("t", **{name: "1"})
    assert error_info(caught.value).reason == "INVALID_CONFIG"
    assert "is not a setting of a topic" in caught.value.details()


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: ("Log/Produce", log_pb2.ProduceRequest(partitions=[log_pb2.ProducePartition()] * 10_001)),
        lambda: ("Log/Fetch", log_pb2.FetchRequest(partitions=[log_pb2.FetchPartition()] * 10_001)),
        lambda: ("Log/ListOffsets", log_pb2.ListOffsetsRequest(partitions=[log_pb2.ListOffsetsPartition()] * 10_001)),
    ],
)
async def test_a_request_for_too_many_partitions_is_refused(server: Server, request_of) -> None:  # type: ignore[no-untyped-def]
    method, request = request_of()
    words = ("partitions has 10001 entries", "max.request.partition.size.limit=10000")
    with refused(ErrorCode.invalid_request, grpc.StatusCode.INVALID_ARGUMENT, *words):
        await server.channel.unary_unary(f"/logserver.v1.{method}")(request.SerializeToString())


async def test_a_command_or_request_of_a_stream_for_too_many_partitions_ends_it(server: Server) -> None:
    named = [log_pb2.TopicPartition()] * 10_001
    assigned = [log_pb2.AssignedPartition()] * 10_001
    words = ("10001 entries", "max.request.partition.size.limit=10000")
    for command in (
        {"assign": log_pb2.Assign(partitions=assigned)},
        {"seek": log_pb2.Assign(partitions=assigned)},
        {"unassign": log_pb2.Unassign(partitions=named)},
        {"pause": log_pb2.PartitionSet(partitions=named)},
        {"resume": log_pb2.PartitionSet(partitions=named)},
    ):
        subscriber = Subscriber(server)
        with refused(ErrorCode.invalid_request, grpc.StatusCode.INVALID_ARGUMENT, *words):
            await subscriber.send(**command)
            await subscriber.call.read()
    stream = ProduceStream(server)
    with refused(ErrorCode.invalid_request, grpc.StatusCode.INVALID_ARGUMENT, *words):
        await stream.send(1, *[log_pb2.ProducePartition()] * 10_001)
        await stream.read()


async def test_a_fault_of_ours_is_logged_and_not_told(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(server.broker, "topics", broken)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.admin.ListTopics(admin_pb2.ListTopicsRequest())
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert error_info(caught.value).reason == "UNKNOWN_SERVER_ERROR"
    assert "secret" not in caught.value.details()
    assert any("secret detail" in (record.exc_text or "") for record in caplog.records)


async def test_clients_that_misbehave_in_every_way_harm_nobody(server: Server) -> None:
    await server.topic()
    good = ProduceStream(server)
    reader = Subscriber(server)
    await reader.credit(1 << 30)
    await reader.assign(("t", 0, at(earliest=True)))
    for turn in range(10):
        channel = server.new_channel()
        stub = log_pb2_grpc.LogStub(channel)
        bad: list[object] = [
            ProduceStream(server, channel).send(1, batches(b"junk")),
            ProduceStream(server, channel).send(1, acks=9),
            channel.unary_unary("/logserver.v1.Log/Produce")(b"\xff\xff"),
            stub.Fetch(log_pb2.FetchRequest(min_bytes=-1)),
            Subscriber(server, channel).credit(-1),
            stub.Fetch(
                log_pb2.FetchRequest(partitions=[log_pb2.FetchPartition(topic="t", offset=10**6)], max_wait_ms=LONG_MS)
            ),
        ]
        await good.send(turn, batches(batch(str(turn))))
        await asyncio.gather(*bad, return_exceptions=True)  # type: ignore[call-overload]
        await channel.close()
        await good.answer(turn)
    await good.end()
    assert await reader.values(10) == [b"%d" % turn for turn in range(10)]
    reader.call.cancel()
    await soon(lambda: not server.daemon._door._calls._tasks and not server.waiters())  # type: ignore[union-attr]
