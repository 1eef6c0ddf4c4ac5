"""The disk is full in the middle of the load, and the server is killed: what was acknowledged is there, once."""

import ctypes
import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from logserverpb.v1 import admin_pb2, log_pb2

from tests.broker.harness import batch
from tests.daemon.processes import Client, ServerProcess
from tests.exactly_once.conftest import free_address

from .conftest import Verify
from .load import CLIENTS, Load, Outcome
from .test_killed import SETTINGS

PROBED: Final = "probed"
_SIZE: Final = "96m"
_DETACH: Final = 2


class SmallDisk:
    """A file system of some MiB that can be filled up and freed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Takes all space that is left, down to the last page."""
        with self._ballast.open("wb", buffering=0) as file:
            for size in (64 << 10, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallDisk]:
    """A tmpfs of its own; the test is left out where mounting is not allowed."""
    path = tmp_path / "small"
    path.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, f"size={_SIZE}".encode()):
        pytest.skip(f"mounting a small tmpfs is not allowed here: {os.strerror(ctypes.get_errno())}")
    try:
        yield SmallDisk(path)
    finally:
        libc.umount2(os.fsencode(path), _DETACH)


def wait_until_refused(server: ServerProcess) -> None:
    """Writes to another topic until that is refused for want of space."""
    with Client(server.grpc) as client:
        while True:
            item = log_pb2.ProducePartition(topic=PROBED, partition=0, batches=batch(b"x" * 1000))
            (result,) = client.log.Produce(log_pb2.ProduceRequest(partitions=[item])).results
            if result.HasField("error"):
                assert "no space left" in result.error.message
                return


@pytest.mark.timeout(1_500)
@pytest.mark.parametrize(
    ("runs", "seed"), [(2, 2), pytest.param(20, 20, marks=pytest.mark.long)], ids=["some", "twenty"]
)
def test_nothing_is_lost_and_nothing_is_there_twice(small: SmallDisk, verify: Verify, runs: int, seed: int) -> None:
    rng = random.Random(seed)
    arguments = ("--kafka-listen", free_address(), "--grpc-listen", free_address())
    # No space is kept free: every write meets the end of the disk itself.
    settings = {**SETTINGS, "log.dir.min.free.bytes": "0"}
    outcome = Outcome()
    data = small.path / "data"
    with ServerProcess(data, *arguments, settings=settings) as server, Load(server) as load:
        with Client(server.grpc) as client:
            client.admin.CreateTopic(admin_pb2.CreateTopicRequest(name=PROBED, partitions=1))
        for number in range(runs):
            load.wait_for(rng.randrange(1, 200))
            small.fill()
            wait_until_refused(server)
            if number % 2:
                # It goes on by itself.
                small.free()
                load.wait_for(1)
            server.kill()
            verify(data, outcome.notes)
            outcome.kills += 1
            small.free()
            server.start()
        load.wait_for(50)
        load.end()
        load.compare(outcome)
        assert server.stop() == 0
        verify(data, outcome.notes)
    print(f"seed {seed}: {outcome}")
    assert outcome.failures == []
    assert (outcome.lost, outcome.twice, outcome.gaps, outcome.out_of_order) == (0, 0, 0, 0), outcome
    assert outcome.kills == runs
    assert outcome.acknowledged.keys() == {client.name for client in CLIENTS}
    assert outcome.stored == sum(outcome.acknowledged.values())
