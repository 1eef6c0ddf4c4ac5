"""The programs and commands of docs/transactions.md do what it says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from logserver_client import AdminClient, Producer, replay

from logserver.testing import LogServer

from .programs import ROOT, TIMEOUT_S

PAGE = (ROOT / "docs" / "transactions.md").read_text()
WORDS = [f"word {number}" for number in range(1_000)]


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found


def run(server: LogServer, command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "LOGSERVER_SERVER": server.grpc},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(2), ids=["bundled", "confluent-kafka"])
def test_a_program_transforms_exactly_once(tmp_path: Path, number: int) -> None:
    with LogServer() as server:
        with AdminClient(server.grpc) as admin, Producer(server.grpc) as producer:
            for topic in ("words", "shouts"):
                admin.create_topic(topic, partitions=3)
            producer.send_many("words", [word.encode() for word in WORDS])
        program = (
            blocks("python")[number].replace("127.0.0.1:50051", server.grpc).replace("127.0.0.1:9092", server.kafka)
        )
        run(server, [sys.executable, "-c", program], tmp_path)
        shouts = [record.value or b"" for record in replay(server.grpc, "shouts", isolation_level="read_committed")]
        assert sorted(shouts) == sorted(word.upper().encode() for word in WORDS)
        with AdminClient(server.grpc) as admin:
            ends = admin.committed_offsets("shouters").values()
            assert sum(at.offset for at in ends) == len(WORDS)
        consume, looking = blocks("sh")
        assert run(server, ["bash", "-euc", consume], tmp_path).count("\n") == len(WORDS)
        looking = looking.replace("shouter-1", f"shouter-{number + 1}")
        assert f"shouter-{number + 1}" in run(server, ["bash", "-euc", looking], tmp_path)
        (listed,) = json.loads(run(server, ["logserver", "transactions", "list", "--json"], tmp_path))
        assert listed["state"] == "CompleteCommit"
