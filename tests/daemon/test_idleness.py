"""Freed memory is given back when a process has nothing to do after it had."""

import subprocess
import sys

from logserver.daemon.process import Idleness


def test_it_begins_when_work_has_ended() -> None:
    idleness = Idleness(1.0, 0)
    assert not idleness.begins(2.0, 1.0, 0)
    assert idleness.begins(2.01, 1.0, 0)


def test_it_begins_once() -> None:
    idleness = Idleness(0.0, 0)
    idleness.begins(1.0, 1.0, 0)
    assert idleness.begins(1.0, 1.0, 0)
    assert not idleness.begins(1.0, 1.0, 0)
    assert not idleness.begins(1.04, 1.0, 0)


def test_little_work_is_no_reason() -> None:
    idleness = Idleness(0.0, 0)
    assert not idleness.begins(0.4, 1.0, 0)
    assert not idleness.begins(0.4, 1.0, 0)


def test_little_by_little_it_becomes_enough() -> None:
    idleness = Idleness(0.0, 0)
    assert [idleness.begins(number * 0.04, 1.0, 0) for number in range(1, 15)] == [False] * 12 + [True, False]


def test_growth_is_a_reason_without_much_work() -> None:
    idleness = Idleness(0.0, 50 << 20)
    assert not idleness.begins(0.2, 1.0, 140 << 20)
    assert idleness.begins(0.2, 1.0, 140 << 20)


def test_growth_is_told_from_what_was_left() -> None:
    idleness = Idleness(0.0, 50 << 20)
    assert idleness.begins(0.0, 1.0, 140 << 20)
    idleness.gave_back(60 << 20)
    assert [idleness.begins(0.0, 1.0, mib << 20) for mib in (60, 67, 140)] == [False, False, True]


def test_memory_that_is_needed_for_good_is_looked_at_once() -> None:
    idleness = Idleness(0.0, 50 << 20)
    assert idleness.begins(0.0, 1.0, 140 << 20)
    idleness.gave_back(140 << 20)
    assert not idleness.begins(0.0, 1.0, 140 << 20)


def test_what_was_freed_is_given_back() -> None:
    program = """
import asyncio
from pathlib import Path
from logserver.daemon import process

process._LOOK_S, process._WORTH_S, process._IDLE_PART = 0.001, 0.0, 100.0

def resident_kib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

async def main():
    buffers = [bytearray(1 << 20) for _ in range(48)]
    del buffers
    kept = resident_kib()
    giving = asyncio.create_task(process.give_back_when_idle())
    while resident_kib() > kept - 40 * 1024:
        await asyncio.sleep(0)
    giving.cancel()

process._keep_freed_memory()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
