"""A machine that lacks the other clients passes all tests, and is told what was left out; CI does not pass."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEST = "tests/kafka_api/test_admin_tools.py::test_subscriptions_to_metrics"


def run(**environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs one test of Apache Kafka's tools where no program is to be found."""
    inherited = {name: value for name, value in os.environ.items() if name != "REQUIRE_ALL_CLIENTS"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", TEST],
        cwd=ROOT,
        env={**inherited, "PATH": "/nowhere", **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_end_of_the_run_says_what_was_left_out_and_how_to_get_it() -> None:
    done = run()
    assert done.returncode == 0, done.stdout
    assert (
        "1 test was left out: Apache Kafka's own tools need java and javac, which this machine lacks: install a JDK of "
        "17 or later and Maven, then run `make other-clients`." in done.stdout.splitlines()
    )


def test_nothing_is_left_out_where_everything_was_asked_for() -> None:
    done = run(REQUIRE_ALL_CLIENTS="1")
    assert done.returncode == 1
    assert "Apache Kafka's own tools need java and javac" in done.stdout
