"""What fuzzing has kept is replayed, and a few wrong bytes beside it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.findings import CORPUS, Findings, corpus, limited
from tests.fuzz.targets import TARGETS, Target

QUICK = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))

numbers = st.sampled_from([-(2**63), -(2**31), -1, 0, 1, 3, 127, 128, 2**31 - 1, 2**63 - 1])


@st.composite
def wrong(draw: st.DrawFn, inputs: Sequence[bytes]) -> bytes:
    """An input with some things wrong, as few as will do; or any bytes."""
    if draw(st.integers(0, 9)) == 9:
        return draw(st.binary(max_size=200))
    made = bytearray(draw(st.sampled_from(inputs)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(made)))
        kind = draw(st.sampled_from(["set", "number", "insert", "cut", "drop", "repeat"]))
        if kind == "set" and at < len(made):
            made[at] = draw(st.integers(0, 255))
        elif kind == "number":
            size = draw(st.sampled_from([1, 2, 4, 8]))
            made[at : at + size] = (draw(numbers) % (1 << 8 * size)).to_bytes(size, "big")
        elif kind == "insert":
            made[at:at] = draw(st.binary(min_size=1, max_size=12))
        elif kind == "cut":
            del made[at:]
        elif kind == "drop":
            del made[at : at + draw(st.integers(1, 20))]
        else:
            made[at:at] = made[at : at + draw(st.integers(1, 40))]
    return bytes(made)


def _given_wrong(name: str, profile: settings) -> None:
    @profile
    @given(data=wrong(corpus(name)))
    def run(data: bytes) -> None:
        TARGETS[name].run(data)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_kept_harms_nobody(name: str) -> None:
    for data in corpus(name):
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_bytes_that_are_wrong_harm_nobody(name: str) -> None:
    _given_wrong(name, QUICK)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", TARGETS)
def test_bytes_that_are_wrong_harm_nobody_for_long(name: str) -> None:
    _given_wrong(name, LONG)


def test_every_target_has_examples_and_every_kept_input_a_target() -> None:
    assert all(list(target.examples()) for target in TARGETS.values())
    assert {path.name for path in CORPUS.iterdir()} <= TARGETS.keys()


def test_what_raises_is_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(data: bytes) -> None:
        if data:
            raise ValueError("odd") if data[0] % 2 else KeyError("even")

    monkeypatch.setattr("tests.fuzz.findings.CORPUS", tmp_path)
    monkeypatch.setitem(TARGETS, "queue_history", Target(fail, list))
    findings = Findings("queue_history")
    with limited():
        for data in (b"", b"\x01", b"\x03", b"\x02", b"\x05"):
            findings.execute(data)
    assert findings.executions == 5
    assert [path.read_bytes() for path in findings.paths] == [b"\x01", b"\x02"]


def test_what_does_not_end_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(data: bytes) -> None:
        while True:
            pass

    monkeypatch.setattr("tests.fuzz.findings.CORPUS", tmp_path)
    monkeypatch.setattr("tests.fuzz.findings.MOST_CPU_S", 0.05)
    monkeypatch.setitem(TARGETS, "queue_history", Target(never, list))
    findings = Findings("queue_history")
    with limited():
        findings.execute(b"x")
    assert len(findings.paths) == 1
