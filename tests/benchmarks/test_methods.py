"""What measurements rest on: an open loop leaves nothing out, and what is to be read cold is not in memory."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.clients import steady
from benchmarks.support.machine import machine
from benchmarks.support.page_cache import drop, resident_part

_RATE = 1000
_STALL_S = 0.1


class StallingProducer:
    """Takes records at once, but for one that holds up the sender; the last one that was made is known."""

    made: "StallingProducer"

    def __init__(self, settings: object) -> None:
        StallingProducer.made = self
        self.stamps: list[int] = []
        self.sent_ns: list[int] = []

    def produce(self, topic: str, value: bytes, key: None = None, partition: int = 0) -> None:
        if value:
            if len(self.stamps) == 50:
                time.sleep(_STALL_S)
            self.stamps.append(int.from_bytes(value[:8], "big"))
            self.sent_ns.append(time.monotonic_ns())

    def poll(self, timeout: float) -> int:
        return 0

    def flush(self, timeout: float) -> int:
        return 0


def test_what_holds_up_the_sender_shows_in_all_that_was_due_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "Producer", StallingProducer)
    told: Any = steady.send("", "t", _RATE, 0.2, 16, {})
    made = StallingProducer.made
    interval_ns = 10**9 // _RATE
    assert [stamp - made.stamps[0] for stamp in made.stamps] == [number * interval_ns for number in range(200)]
    late_ns = [sent - due for due, sent in zip(made.stamps, made.sent_ns, strict=True)]
    assert min(late_ns) >= 0
    # The one that stalled, and those that were due in the next 0.09 s.
    assert sum(late > _STALL_S / 10 * 1e9 for late in late_ns[50:]) >= 90
    assert told["records"] == 200 and told["late_s"] >= _STALL_S - 0.01


def test_what_is_dropped_is_not_in_memory(tmp_path: Path) -> None:
    if "tmpfs" in machine(tmp_path)["data on"]:
        pytest.skip("temporary files are in memory here")
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(os.urandom(1 << 20))
    assert resident_part(tmp_path) == 1.0
    drop(tmp_path)
    assert resident_part(tmp_path) == 0.0
    (tmp_path / "a").read_bytes()
    assert resident_part(tmp_path) == 0.5
