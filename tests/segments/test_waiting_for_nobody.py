"""What is done with all logs from time to time waits for no disk on the logs' thread, and lets others have turns."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from logserver_segments.config import LogConfig
from logserver_segments.data_directory.housekeeping import Turns
from logserver_segments.reading import Slice

from .conftest import Lines
from .support import NOW, SMALL, TOPIC_ID, Box, FakeClock, HeldWorkers, batch, read_all, run

OLD = NOW + 10**9
AGING = replace(SMALL, retention_ms=1000)


class ColdBox(Box):
    """A log of a few segments that was opened again: nothing of its files is in memory until it has been read."""

    def __init__(self, config: LogConfig = AGING) -> None:
        self.held = HeldWorkers()
        self.held.hold = False
        super().__init__(config, workers=self.held)
        self.fill(40)
        self.reopen()
        self.warm: set[str] = set()
        self.disk.cold = lambda path: path not in self.warm
        real = self.disk.meet

        def meet(operation: str, path: str) -> None:
            if operation == "read":
                # On the log's own thread only what is in memory is read.
                assert self.is_worker or path in self.warm, path
                self.warm.add(path)
            real(operation, path)

        self.disk.meet = meet  # type: ignore[method-assign]
        self.is_worker = False
        work = self.held._work

        async def as_worker(function: Callable[[], object]) -> object:
            def run_there() -> object:
                self.is_worker = True
                try:
                    return function()
                finally:
                    self.is_worker = False

            return await work(run_there)

        self.held._work = as_worker  # type: ignore[method-assign, assignment]


async def test_retention_reads_what_it_looks_at_on_a_worker() -> None:
    box = ColdBox()
    await box.directory.apply_retention()
    assert box.log.log_start_offset == 0
    box.clock.advance(2000)
    await box.directory.apply_retention()
    assert box.log.log_start_offset == 40
    box.log.check_invariant()


async def test_retention_reads_no_more_than_it_needs() -> None:
    box = ColdBox()
    await box.directory.apply_retention()
    # The first segment is young enough, so nobody asks about the others.
    assert {path.rpartition("/")[2].partition(".")[0] for path in box.warm} <= {
        f"{0:020d}",
        f"{box.log.segments[-1].base_offset:020d}",
    }


async def test_appends_and_retention_by_size_go_on_while_retention_waits_for_the_disk() -> None:
    box = ColdBox()
    box.clock.advance(2000)
    box.held.hold = True
    waiting = asyncio.ensure_future(box.directory.apply_retention())
    await box.held.reached()
    for segment in box.log.segments:
        # As a start that had to look at them leaves them.
        box.warm |= {segment.index.path, segment.time_index.path}
    box.fill(20, first=40)
    assert box.log.log_end_offset == 60
    box.held.hold = False
    box.held.release()
    await waiting
    assert box.log.log_start_offset >= 40
    assert [record.offset for record in read_all(box.log)][-1:] in ([59], [])
    box.log.check_invariant()


@pytest.mark.parametrize("end", ["close", "truncate", "offline"])
async def test_a_log_that_ends_while_retention_waits_is_left_alone(end: str, lines: Lines) -> None:
    box = ColdBox()
    box.clock.advance(2000)
    box.held.hold = True
    waiting = asyncio.ensure_future(box.directory.apply_retention())
    await box.held.reached()
    if end == "close":
        box.directory.close_log("topic", 0)
    elif end == "truncate":
        box.is_worker = True
        box.log.truncate(3)
        box.is_worker = False
    else:
        box.disk.fail("write", "*.log")
        box.is_worker = True
        with pytest.raises(Exception, match="failed to write"):
            box.append(batch(b"x"))
        box.is_worker = False
    box.held.hold = False
    box.held.release()
    await waiting
    assert not lines.of("retention failed")


async def test_a_damaged_index_is_made_again_on_a_worker() -> None:
    box = ColdBox()
    first = box.log.segments[0]
    box.disk.damage(first.time_index.path, b"\xff" * 12)
    box.clock.advance(2000)
    await box.directory.apply_retention()
    assert box.log.log_start_offset == 40


async def test_readers_and_searches_of_cold_segments_read_on_workers_only() -> None:
    box = ColdBox()
    offset = 0
    while offset < box.log.committed_offset:
        found = box.log.read(offset, 100)
        offset = (found if isinstance(found, Slice) else await found).next_offset
    box = ColdBox()
    assert await box.log.offset_for_timestamp(NOW) == (0, NOW)
    box = ColdBox()
    assert await box.log.offset_of_max_timestamp() == (0, NOW)


def test_rolling_by_age_does_not_wait_for_the_disk() -> None:
    config = LogConfig(segment_ms=1000)
    box = Box(config)
    box.fill(3)
    box.reopen()
    box.disk.cold = lambda path: path.endswith(".log")
    box.disk.reads.clear()
    # When the segment was begun is not known, and not asked for here.
    box.append(batch(b"late", timestamp=NOW + 5000))
    assert len(box.log.segments) == 1 and not [path for path, _, _ in box.disk.reads if path.endswith(".log")]
    run(box.directory.apply_retention())
    box.append(batch(b"later", timestamp=NOW + 5000))
    assert len(box.log.segments) == 2


async def test_a_checkpoint_of_many_logs_lets_others_have_their_turns() -> None:
    box = Box()
    logs = [box.directory.open("many", number, TOPIC_ID, SMALL) for number in range(20)]
    for log in logs:
        log.append(batch(b"x"), 0, NOW)
    now = 0.0

    def later() -> float:
        nonlocal now
        now += 1
        return now

    box.clock.monotonic_ms = later  # type: ignore[method-assign]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.ensure_future(count())
    # A log that goes and one that comes meanwhile are no trouble.
    checkpoint = asyncio.ensure_future(box.directory.checkpoint())
    await asyncio.sleep(0)
    await box.directory.delete("many", 19)
    await checkpoint
    other.cancel()
    assert turns >= 5
    content = box.disk.read_file(f"{box.path}/recovery-point-offset-checkpoint").decode()
    assert content.count("many") == 19 and "many 19 " not in content


async def test_a_turn_is_given_after_a_while_only() -> None:
    clock = FakeClock()
    turns = Turns(clock)
    run(turns.pause())
    clock.advance(10)
    with pytest.raises(AssertionError, match="waits"):
        run(turns.pause())
