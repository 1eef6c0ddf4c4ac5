"""Settings of compaction reach the process that compacts: its memory and its rate are bounded."""

import logging
import re
import time

import pytest

from tests.broker.harness import keyed_batch
from tests.grpc_api.servers import Server

KEYS = 100
MEMORY_BYTES = 1024
SLOT_BYTES = 24
BYTES_PER_SECOND = 50_000
SETTINGS = {
    # Not by itself.
    "log.cleaner.backoff.ms": "3600000",
    "log.cleaner.dedupe.buffer.size": str(MEMORY_BYTES),
    "log.cleaner.io.buffer.load.factor": "0.5",
    "log.cleaner.io.max.bytes.per.second": str(BYTES_PER_SECOND),
}


@pytest.mark.parametrize("server", [SETTINGS], indirect=True)
async def test_its_memory_and_its_rate_are_bounded(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await server.topic("t", 1, cleanup_policy="compact", segment_bytes="2048", min_cleanable_dirty_ratio="0")
    await server.store(*[keyed_batch((b"%d" % number, b"x" * 50)) for number in range(KEYS)] * 2)
    (directory,) = server.daemon.directories.online
    began_s = time.monotonic()
    await directory.compact()
    took_s = time.monotonic() - began_s
    found = [record.getMessage() for record in caplog.records if "log compacted log=t-0" in record.getMessage()]
    keys, moved = (
        [int(number) for line in found for number in re.findall(name, line)] for name in (r"keys=(\d+)", r"moved=(\d+)")
    )
    # As many at a time as half of the memory takes, or a few less.
    assert 15 < max(keys) <= MEMORY_BYTES // SLOT_BYTES // 2 and sum(keys) > KEYS
    assert took_s > sum(moved) / BYTES_PER_SECOND > 0.5
    assert len(await server.read_all()) < 2 * KEYS
