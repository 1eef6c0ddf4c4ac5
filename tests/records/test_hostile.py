"""No bytes make the decoder crash, read beyond them or take much memory; each run in a process of its own."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.records.hostile", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    told = f"{' '.join(command)}\nexit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, told
    return done.stdout


def test_mutated_batches_are_decoded_as_the_reference_does_or_refused():
    assert "1000 batches" in run("fuzz", "1", "1000")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_many_mutated_batches_are_decoded_as_the_reference_does_or_refused():
    assert "50000 batches" in run("fuzz", str(random.randrange(2**32)), "50000")


@pytest.mark.skipif(sys.platform != "linux", reason="needs mprotect")
def test_nothing_is_read_beyond_the_end_of_a_batch():
    assert "batches at the edge" in run("edge")
