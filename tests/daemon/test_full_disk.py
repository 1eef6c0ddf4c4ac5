"""A full disk refuses writes and keeps reads going; space that is freed brings writes back without a restart.

Once on a small real file system, where mounting one is allowed, and once on a disk that says so.
"""

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from logserverpb.v1 import admin_pb2, log_pb2

from logserver.errors import ErrorCode
from tests.broker.harness import batch
from tests.daemon.test_start import crash
from tests.grpc_api.servers import (
    ProduceStream,
    Server,
    Subscriber,
    at,
    batches,
    check_error,
    refused,
)

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
MIB = 1 << 20
NOTHING_KEPT = {"log.dir.min.free.bytes": "0"}


class Filled:
    """A place for data that can be filled up and freed."""

    def __init__(self, path: Path, fill: Callable[[Server], None], free: Callable[[Server], None]) -> None:
        self.path = path
        self.fill = fill
        self.free = free


def _mount(path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, b"size=8m"):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@pytest.fixture(params=["tmpfs", "seam"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Filled]:
    """A disk of a few MiB."""
    if request.param == "seam":
        yield Filled(tmp_path / "data", lambda server: server.disk.fill(), lambda server: server.disk.heal())
        return
    mounted = tmp_path / "small"
    mounted.mkdir()
    try:
        _mount(mounted)
    except OSError as error:
        pytest.skip(f"mounting a small tmpfs is not allowed here: {error.strerror}")
    ballast = mounted / "ballast"

    def fill(server: Server) -> None:
        with ballast.open("wb", buffering=0) as file:
            for size in (64 << 10, 4096):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    try:
        yield Filled(mounted / "data", fill, lambda server: ballast.unlink())
    finally:
        libc = ctypes.CDLL(None, use_errno=True)
        # Lazily: a test that fails may still have files open.
        libc.umount2(os.fsencode(mounted), 2)


async def test_a_full_disk_refuses_writes_and_keeps_reads_going(filled: Filled) -> None:
    server = await Server(filled.path, NOTHING_KEPT).start()
    await server.topic("t", 2)
    await server.store(batch("before"))
    subscriber = Subscriber(server)
    await subscriber.credit(MIB)
    await subscriber.assign(("t", 0, at(earliest=True)))
    await subscriber.entry()
    assert await subscriber.values(1) == [b"before"]
    stream = ProduceStream(server)
    filled.fill(server)

    words = ("no space left on the disk", "nothing was stored", "Free space", "without a restart")
    big = batch(b"x" * 100_000)
    for number in range(3):
        request = log_pb2.ProduceRequest(partitions=[batches(big), batches(big, partition=1)])
        for result in (await server.log.Produce(request)).results:
            check_error(result.error, ErrorCode.kafka_storage_error, *words)
            assert result.error.retriable and result.base_offset == -1
        await stream.send(number, batches(big))
        check_error((await stream.answer(number))[0].error, ErrorCode.kafka_storage_error, *words)
        # Reads of every kind go on.
        assert await server.read_all() == [b"before"]
        assert (await server.offset(at(timestamp=0))).offset == 0
        status = await server.admin.GetStatus(admin_pb2.GetStatusRequest())
        assert status.offline_partitions == 0
    with refused(ErrorCode.kafka_storage_error, UNAVAILABLE, "no space left"):
        await server.topic("new" * 80, 50, retention_ms="1")
        # A page of the metadata log may have had room for the first.
        for number in range(500):
            await server.topic(f"new{number}")
    assert await server.read_all() == [b"before"]

    filled.free(server)
    await server.store(big)
    await server.store(batch("other"), partition=1)
    await stream.send(9, batches(batch("after")))
    assert not (await stream.answer(9))[0].HasField("error")
    await server.topic("made")
    assert await server.read_all() == [b"before", b"x" * 100_000, b"after"]
    assert await subscriber.values(2) == [b"x" * 100_000, b"after"]
    assert await server.read_all(partition=1) == [b"other"]

    # What was refused left nothing behind that a restart could find.
    await crash(server)
    await server.start()
    assert await server.read_all() == [b"before", b"x" * 100_000, b"after"]
    assert await server.read_all(partition=1) == [b"other"]
    await server.stop()


async def test_a_disk_that_fills_up_in_the_middle_of_writing_loses_nothing_acknowledged(filled: Filled) -> None:
    server = await Server(
        filled.path, {**NOTHING_KEPT, "log.segment.bytes": "300000", "log.index.interval.bytes": "0"}
    ).start()
    await server.topic("t", 3)
    acknowledged: list[list[bytes]] = [[], [], []]
    full = 0

    async def write(number: int) -> bool:
        partition = number % 3
        value = b"%d-" % number + b"x" * (number * 37 % 20_000)
        request = log_pb2.ProduceRequest(partitions=[batches(batch(value), partition=partition)])
        (result,) = (await server.log.Produce(request)).results
        if result.HasField("error"):
            check_error(result.error, ErrorCode.kafka_storage_error, "no space left")
            return False
        assert result.base_offset == len(acknowledged[partition])
        acknowledged[partition].append(value)
        return True

    number = 0
    for _ in range(3):
        for _ in range(40):
            assert await write(number)
            number += 1
        filled.fill(server)
        for _ in range(40):
            full += not await write(number)
            number += 1
        for partition in range(3):
            assert await server.read_all(partition=partition) == acknowledged[partition]
        filled.free(server)
    assert full > 30
    for _ in range(30):
        assert await write(number)
        number += 1
    for end in (lambda: crash(server), server.stop):
        await end()
        await server.start()
        for partition in range(3):
            assert await server.read_all(partition=partition) == acknowledged[partition]
    await server.stop()


async def test_housekeeping_goes_on_after_a_full_disk(filled: Filled, caplog: pytest.LogCaptureFixture) -> None:
    settings = {**NOTHING_KEPT, "log.flush.offset.checkpoint.interval.ms": "1", "log.retention.check.interval.ms": "1"}
    server = await Server(filled.path, settings).start()
    await server.topic("t", 1, segment_bytes="2048", retention_bytes="1", file_delete_delay_ms="0")
    await server.store(*[batch(b"x" * 1000)] * 3)
    filled.fill(server)
    point = filled.path / "recovery-point-offset-checkpoint"
    content = point.read_bytes()
    for _ in range(5):
        await server.fetch(server.partition().log_start_offset)
    filled.free(server)
    await server.store(*[batch(b"y" * 1000)] * 3)
    # The checkpoint is written again, and retention has made room.
    import asyncio

    async with asyncio.timeout(20):
        while point.read_bytes() == content or server.partition().log_start_offset < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    await server.stop()
