"""The wheel alone, in a fresh environment outside the source tree, on every supported Python that is present."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import logserver

from .conftest import ROOT, Distribution
from .interpreters import RUNNING, SUPPORTED, interpreter

VERSIONS = [pytest.param(version, marks=[] if version == RUNNING else [pytest.mark.long]) for version in SUPPORTED]

IMPORTS = """
import importlib, pathlib, sys
for name in ["logserver", "logserver_client", "logserver_client.aio", "logserver_records", "logserver_segments",
             "logserverpb.v1.log_pb2_grpc", "logserver.testing"]:
    module = importlib.import_module(name)
    path = pathlib.Path(module.__file__)
    assert path.is_relative_to(sys.prefix), path
    assert (pathlib.Path(sys.modules[name.split(".")[0]].__file__).parent / "py.typed").exists(), name
"""

ROUND_TRIP = """
from logserver.testing import LogServer
from logserver_client import AdminClient, Producer, replay

with LogServer() as server:
    with AdminClient(server.grpc) as admin:
        admin.create_topic("greetings", partitions=1)
    with Producer(server.grpc) as producer:
        metadata = producer.send("greetings", b"hello", key=b"k").result(30)
    assert (metadata.partition, metadata.offset) == (0, 0), metadata
    assert [(record.key, record.value) for record in replay(server.grpc, "greetings")] == [(b"k", b"hello")]
"""


class Environment:
    """A virtual environment with the wheel in it, and an empty folder to work in."""

    def __init__(self, folder: Path, python: Path, wheel: Path) -> None:
        self.folder = folder
        self._bin = folder / "venv" / "bin"
        self._run([str(python), "-m", "venv", str(folder / "venv")])
        self.python("-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))

    def python(self, *arguments: str) -> str:
        return self._run([str(self._bin / "python"), *arguments])

    def logserver(self, *arguments: str, stdin: str = "") -> str:
        return self._run([str(self._bin / "logserver"), *arguments], stdin)

    def start_server(self) -> tuple[subprocess.Popen[str], str]:
        command = [str(self._bin / "logserver"), "serve"]
        command += ["--grpc-listen", "127.0.0.1:0", "--kafka-listen", "127.0.0.1:0"]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready.startswith("ready "), ready
        return process, ready.split("grpc=")[1].split()[0]

    def _run(self, command: Sequence[str], stdin: str = "") -> str:
        environment = clean_environment()
        done = subprocess.run(
            command, cwd=self.folder, env=environment, input=stdin, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout


def clean_environment() -> dict[str, str]:
    ours = ("PYTHON", "VIRTUAL_ENV", "LOGSERVER_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture(scope="module", params=VERSIONS)
def environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, distribution: Distribution
) -> Environment:
    version: str = request.param
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    return Environment(tmp_path_factory.mktemp(f"python{version}"), python, distribution.wheel)


def test_version_and_help_are_there(environment: Environment) -> None:
    assert logserver.__version__ in environment.logserver("--version")
    assert "serve" in environment.python("-m", "logserver", "--help")


def test_every_package_is_imported_from_the_environment_and_typed(environment: Environment) -> None:
    environment.python("-c", IMPORTS)


def test_an_embedded_server_keeps_a_record(environment: Environment) -> None:
    environment.python("-c", ROUND_TRIP)


def test_the_commands_send_and_read_a_record(environment: Environment) -> None:
    process, address = environment.start_server()
    try:
        at = ["--server", address]
        environment.logserver("topics", "create", "greetings", "--partitions", "3", *at)
        environment.logserver("produce", "greetings", "--format", "lines", *at, stdin="hello\n")
        assert environment.logserver("consume", "greetings", "--from", "earliest", "--exit-at-end", *at) == "hello\n"
        assert environment.logserver("replay", "greetings", "--from", "earliest", *at) == "hello\n"
        process.terminate()
        assert process.wait(20) == 0
        assert (environment.folder / "logserver-data").is_dir()
    finally:
        process.kill()
        process.wait()


def test_the_proof_runs_without_the_source_tree(environment: Environment) -> None:
    found = json.loads(environment.logserver("crash-test", "--seed", "1", "--runs", "1", "--json"))
    assert (found["violations"], [run["seed"] for run in found["runs"]]) == (0, [1])
    assert found["acknowledged"] > 500 and found["states"] > 0


def test_the_client_and_the_commands_work_without_the_event_loop_of_the_server(environment: Environment) -> None:
    program = "import sys; sys.modules['uvloop'] = None; import logserver_client.aio, logserver.cli"
    environment.python("-c", program)


def test_on_another_system_than_linux_serve_says_that_it_needs_linux(environment: Environment) -> None:
    program = "import sys; sys.platform = 'darwin'; from logserver.cli import main; main(['serve'])"
    done = subprocess.run(
        [str(environment.folder / "venv" / "bin" / "python"), "-c", program],
        cwd=environment.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "Linux" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_source_tree_is_not_on_the_path(environment: Environment) -> None:
    paths = environment.python("-c", "import sys; print('\\n'.join(sys.path))").splitlines()
    assert str(ROOT) not in paths
    assert sys.prefix not in paths
