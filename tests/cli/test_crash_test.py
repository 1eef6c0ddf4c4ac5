"""`logserver crash-test`: what it asks for, and what it says of what came of it."""

import json
from collections.abc import Iterator, Sequence

import click
import pytest
from click.testing import CliRunner, Result

from logserver.cli import main
from logserver.simulation import runs
from logserver.simulation.ledger import Ledger, Moment
from logserver.simulation.run import Outcome

KEPT = Outcome(8, 2.0, records=1500, acknowledged=1400, crashes=3, states=12)
BROKEN = Outcome(
    7,
    1.0,
    records=600,
    acknowledged=500,
    crashes=2,
    states=9,
    violation="lost acknowledged record: anna:1 is not at 1",
    history=["    1.0000  anna         sends anna:1", "    2.0000  nemesis      the power was cut"],
)


class Runs:
    """In the place of the simulation: notes what is asked for, and has some outcomes."""

    def __init__(self, *outcomes: Outcome | Exception) -> None:
        self._outcomes = outcomes
        self.asked: list[tuple[int, int]] = []

    def __call__(self, first: int, count: int, jobs: int) -> Iterator[Outcome]:
        self.asked.append((first, count))
        for outcome in self._outcomes:
            if isinstance(outcome, Exception):
                raise outcome
            yield outcome


def run(monkeypatch: pytest.MonkeyPatch, simulated: Runs, *arguments: str) -> Result:
    monkeypatch.setattr(runs, "run_seeds", simulated)
    return CliRunner().invoke(main, ["crash-test", *arguments])


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], (1, 40)),
        (["--seed", "7"], (7, 1)),
        (["--seed", "0"], (0, 1)),
        (["--runs", "3"], (1, 3)),
        (["--seed", "7", "--runs", "1000"], (7, 1000)),
    ],
)
def test_seeds_are_run_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], asked: tuple[int, int]
) -> None:
    simulated = Runs(KEPT)
    assert run(monkeypatch, simulated, *arguments).exit_code == 0
    assert simulated.asked == [asked]


@pytest.mark.parametrize("arguments", [["--runs", "0"], ["--runs", "-1"], ["--seed", "-1"], ["--jobs", "0"]])
def test_what_cannot_be_run_is_wrong_usage(monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str]) -> None:
    simulated = Runs(KEPT)
    assert (run(monkeypatch, simulated, *arguments).exit_code, simulated.asked) == (2, [])


def test_a_summary_says_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, Runs(KEPT))
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("1 run (seed 8) in 0 s: 1,500 records sent, 1,400 acknowledged, ")
    assert "3 power cuts" in done.stdout and "12 states that a crash could leave were checked" in done.stdout
    assert done.stdout.endswith("\nevery promise was kept\n")


def test_a_violation_is_told_with_what_repeats_it_and_what_concerns_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Runs end in any order.
    done = run(monkeypatch, Runs(KEPT, BROKEN))
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[:2] == [f"seed 7: {BROKEN.violation}", "  again with: logserver crash-test --seed 7"]
    assert lines[2:4] == [f"  {line}" for line in BROKEN.history]
    assert lines[4].startswith("2 runs (seeds 7 to 8) in ")
    assert lines[5:] == ["BROKEN in 1 of them: seeds 7"]


def test_scripts_get_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, Runs(KEPT, BROKEN), "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["violations"], found["states"], found["acknowledged"]) == (1, 21, 1900)
    assert [one["seed"] for one in found["runs"]] == [7, 8]
    assert (found["runs"][0]["violation"], found["runs"][0]["history"]) == (BROKEN.violation, BROKEN.history)
    assert found["runs"][1]["violation"] is None


def test_a_run_that_has_not_come_to_its_end_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, Runs(KEPT, runs.RunFailed("the process of seed 9 ended with -9")))
    assert (done.exit_code, done.stdout) == (1, "")
    assert click.unstyle(done.stderr) == "Error: The process of seed 9 ended with -9.\n"


def test_a_history_is_shortened_to_its_last_lines_that_concern_somebody_or_everybody() -> None:
    now_s = 0.0
    ledger = Ledger(lambda: now_s, lambda: Moment(0, 0))
    for number in range(100):
        now_s = float(number)
        ledger.note("anna", f"sends {number}", ("plain", number % 2))
    ledger.note("nemesis", "the power was cut")
    found = ledger.shortened({str(("plain", 1))})
    assert [line.split()[-1] for line in found] == [*map(str, range(1, 100, 2)), "cut"]
    assert ledger.shortened({str(("plain", 1))}, most=3) == found[-3:]
