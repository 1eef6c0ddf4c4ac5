"""What a server takes of the machine, its children included."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.support.usage import cpu_of, memory_of

_BURN_S = 0.3
_MIB = 1 << 20
_CHILD = f"""
import sys, time
held = b"x" * (64 << 20)
while time.process_time() < {_BURN_S}:
    pass
print("burnt", flush=True)
sys.stdin.readline()
"""
_PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {_CHILD!r}], stdin=subprocess.PIPE, start_new_session=True)
sys.stdin.readline()
child.communicate(b"end")
print("waited", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """A process that does nothing but wait for its child, which has 64 MiB and has been at work."""
    command = [sys.executable, "-c", _PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            assert process.stdout.readline() == "burnt\n"
            yield process
            process.stdin.write("end\n" * 2)
            process.stdin.flush()
        finally:
            process.stdin.close()
            process.wait(60)


def test_what_a_child_takes_counts(parent: subprocess.Popen[str]) -> None:
    assert cpu_of(parent.pid).total_s >= _BURN_S - 0.02
    assert memory_of(parent.pid).anonymous >= 64 * _MIB


def test_what_a_child_took_that_has_ended_counts(parent: subprocess.Popen[str]) -> None:
    assert parent.stdin is not None and parent.stdout is not None
    parent.stdin.write("end\n")
    parent.stdin.flush()
    assert parent.stdout.readline() == "waited\n"
    assert cpu_of(parent.pid).total_s >= _BURN_S - 0.02
    assert memory_of(parent.pid).anonymous < 64 * _MIB


def test_a_process_that_is_not_there_is_an_error(parent: subprocess.Popen[str]) -> None:
    with pytest.raises(FileNotFoundError):
        cpu_of(2**22 + 1)
