"""Peers as processes: they end for sure, and one that can't be had is left out with a message."""

import json
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers.fetching import fetched
from benchmarks.peers.process import CannotHavePeer, Peer

ROOT = Path(__file__).parents[2]

_PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
time.sleep(600)
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
    )


def has_ended(process: int) -> bool:
    """Waits for the end of a process, of which there is a file descriptor; returns whether it came."""
    try:
        return bool(select.select([process], [], [], 30)[0])
    finally:
        os.close(process)


def test_a_peer_ends_with_its_children(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    ready = lambda: "child" in log.read_text()  # noqa: E731
    with Peer("parent", "", [sys.executable, "-c", _PARENT], tmp_path, ready) as peer:
        child = os.pidfd_open(int(peer.log().split()[1]))
    assert has_ended(child)
    with pytest.raises(ProcessLookupError):
        os.kill(peer.pid, 0)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="without setpriv peers outlive a benchmark that is killed")
def test_a_peer_dies_with_a_benchmark_that_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    up = "import time; print('up', flush=True); time.sleep(600)"
    program = (
        "import sys, time; from pathlib import Path; from benchmarks.peers.process import Peer\n"
        f"log = Path({str(log)!r})\n"
        f"peer = Peer('p', '', [sys.executable, '-c', {up!r}], log.parent, lambda: 'up' in log.read_text())\n"
        "print(peer.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        peer = int(killed.stdout.readline())
        handle = os.pidfd_open(peer)
        killed.kill()
    assert has_ended(handle)


def test_a_peer_that_does_not_start_says_why(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no room for it')"]
    with pytest.raises(CannotHavePeer, match="no room for it"):
        Peer("peer", "", command, tmp_path, lambda: False)


def test_what_an_interrupted_fetch_has_left_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.peers.fetching.FOLDER", tmp_path)

    def fails(into: Path) -> None:
        (into / "half").touch()
        raise CannotHavePeer("the registry is away")

    with pytest.raises(CannotHavePeer, match="away"):
        fetched("peer", fails, may_fetch=True)
    with pytest.raises(CannotHavePeer, match="peers fetch"):
        fetched("peer", fails, may_fetch=False)
    folder = fetched("peer", lambda into: (into / "whole").touch(), may_fetch=True)
    assert [path.name for path in folder.iterdir()] == ["whole"]
    assert fetched("peer", fails, may_fetch=True) == folder


def test_peers_that_are_not_there_are_left_out_with_a_message(tmp_path: Path) -> None:
    bare = {"BENCHMARK_PEERS": str(tmp_path / "none"), "PATH": str(Path(sys.executable).parent)}
    listed = run("benchmarks.peers", "list", "tansu", "nats", "rabbitmq", **bare)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.count("left out, because") == 3
    done = run(
        "benchmarks.queues", "--json", "--rounds=1", "--messages=50", "--backlog=10", f"--directory={tmp_path}", **bare
    )
    assert done.returncode == 0, done.stderr
    notes = json.loads(done.stdout)["notes"]
    assert any(note.startswith("without RabbitMQ, pika: ") for note in notes)
    assert any(note.startswith("without Redis Streams, redis-py: ") for note in notes)
    assert not list(tmp_path.iterdir())


def test_peers_that_can_not_be_fetched_are_left_out_with_a_message(tmp_path: Path) -> None:
    folder = tmp_path / "there" / "peers"
    bare = {"BENCHMARK_PEERS": str(folder), "PATH": str(tmp_path), "PIP_NO_INDEX": "1"}
    done = run("benchmarks.peers", "fetch", **bare)
    assert done.returncode == 0, done.stderr
    told = dict(line.split(": left out, because ") for line in done.stdout.splitlines())
    assert list(told) == ["kafka", "tansu", "redis", "nats", "rabbitmq"]
    assert "java" in told["kafka"] and "pip" in told["tansu"] and "apt-get" in told["redis"]
    assert "go" in told["nats"] and "apt-get" in told["nats"] and "apt-get" in told["rabbitmq"]
    assert run("benchmarks.peers", "list", "tansu", **bare).stdout.startswith("tansu: left out, because ")


def test_a_folder_that_can_not_be_written_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("benchmarks.peers", "fetch", "tansu", BENCHMARK_PEERS=str(tmp_path / "file" / "peers"))
    assert done.returncode == 0, done.stderr
    assert "tansu: left out, because " in done.stdout and "Not a directory" in done.stdout


def test_a_benchmark_of_queues_runs_with_redis(tmp_path: Path) -> None:
    pytest.importorskip("redis", reason="redis-py is not installed: pip install '.[bench]'")
    listed = run("benchmarks.peers", "list", "redis")
    if "redis: there" not in listed.stdout:
        pytest.skip(listed.stdout.strip())
    arguments = (
        "--json",
        "--peers",
        "redis",
        "--rounds=1",
        "--messages=150",
        "--backlog=10",
        f"--directory={tmp_path}",
    )
    done = run("benchmarks.queues", *arguments)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [len(table["rows"]) for table in document["tables"]] == [2] * 6 + [1]
    assert not list(tmp_path.iterdir())
