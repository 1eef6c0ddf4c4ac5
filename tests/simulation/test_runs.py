"""The simulation as a whole: it passes, is the same again, and says what it found."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from logserver.simulation.runs import run_seeds

FIRST_SEED, SEEDS = 9, 4


def document(*arguments: str, timeout_s: float = 600, cwd: Path | None = None, **environment: str) -> dict[str, Any]:
    result = subprocess.run(
        [sys.executable, "-P", "-m", "logserver", "crash-test", *arguments, "--json"],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    found: dict[str, Any] = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (1 if found["violations"] else 0, "")
    return found


@pytest.mark.timeout(600)
def test_every_promise_is_kept_over_crashes() -> None:
    found = document("--seed", str(FIRST_SEED), "--runs", str(SEEDS), "--jobs", "2")
    broken = {run["seed"]: (run["violation"], run["history"]) for run in found["runs"] if run["violation"]}
    assert broken == {}
    assert [run["seed"] for run in found["runs"]] == list(range(FIRST_SEED, FIRST_SEED + SEEDS))
    # It is no proof if nothing happens.
    assert found["acknowledged"] > 1000 * SEEDS and found["transactions"] > 20 * SEEDS
    assert found["deliveries"] > found["settled"] > 300 * SEEDS
    assert found["crashes"] > 2 * SEEDS and found["states"] > 10 * SEEDS
    assert found["kills"] > 0 and found["stops"] > 0


def test_a_seed_does_the_same_again_wherever_that_is(tmp_path: Path) -> None:
    # What lies about there is not the server's.
    (tmp_path / "json.py").write_text("raise SystemExit('not what was meant')")
    alone = document("--seed", "9", cwd=tmp_path, PYTHONHASHSEED="77", LOGSERVER_FLUSH_MESSAGES="9")["runs"]
    among_others = document("--seed", "8", "--runs", "2", "--jobs", "1")["runs"]
    assert alone[0]["digest"] == among_others[1]["digest"] != among_others[0]["digest"]
    assert alone[0] | {"seconds": 0} == among_others[1] | {"seconds": 0}


# In the place of the simulation, found by the processes of the runs as they start.
ENDLESS = """
import sys
from types import SimpleNamespace

def simulate(seed):
    while seed == 8:
        pass
    return SimpleNamespace(document=lambda: {"seed": seed, "seconds": 0.0})

sys.modules["logserver.simulation.run"] = SimpleNamespace(simulate=simulate)
"""


def test_a_run_that_does_not_end_is_a_violation_and_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(ENDLESS)
    monkeypatch.syspath_prepend(tmp_path)
    outcomes = list(run_seeds(7, 3, 1, most_s=5))
    assert [(outcome.seed, outcome.violation is None) for outcome in outcomes] == [(7, True), (8, False), (9, True)]
    assert str(outcomes[1].violation).startswith("endless run: it has not ended after 5 s")
    assert "in simulate" in capfd.readouterr().err


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
def test_every_promise_is_kept_over_many_crashes() -> None:
    found = document("--seed", "1000", "--runs", "1000", timeout_s=4 * 3600)
    assert {run["seed"]: run["violation"] for run in found["runs"] if run["violation"]} == {}
    assert found["states"] > 10_000
