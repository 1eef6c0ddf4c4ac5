"""`logserver serve` as a process."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from logserver.cli import main

from .conftest import Process


def serve(directory: Path, *arguments: str, **environment: str) -> Process:
    return Process(
        "serve",
        "--data-dir",
        str(directory),
        "--grpc-listen",
        "127.0.0.1:0",
        "--kafka-listen",
        "off",
        *arguments,
        **environment,
    )


def ready(server: Process) -> str:
    """Waits for the line; returns HOST:PORT of the gRPC door."""
    assert server.popen.stdout is not None
    line = server.popen.stdout.readline().decode()
    assert line.startswith("ready grpc=127.0.0.1:"), server.end()
    return line.split()[1].removeprefix("grpc=")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_when_it_is_ready_and_ends_cleanly_on_a_signal(tmp_path, number):
    with serve(tmp_path / "data", "--kafka-listen", "off") as server:
        address = ready(server)
        status = CliRunner().invoke(main, ["status", "--json", "--server", address])
        assert json.loads(status.stdout)["doors"] == [{"door": "grpc", "address": address}]
        code, out, err = server.end(number)
    assert (code, out) == (0, "")
    assert "Traceback" not in err


@pytest.mark.parametrize("is_repeated", [True, False])
def test_several_data_directories_are_named_one_by_one_or_with_commas(tmp_path, is_repeated):
    paths = [str(tmp_path / name) for name in "abc"]
    rest = ["--data-dir", paths[1], "--data-dir", paths[2]] if is_repeated else []
    with serve(Path(paths[0] if is_repeated else ",".join(paths)), *rest) as server:
        address = ready(server)
        status = json.loads(CliRunner().invoke(main, ["status", "--json", "--server", address]).stdout)
        assert [directory["path"] for directory in status["log_directories"]] == paths
        assert server.end(signal.SIGTERM)[0] == 0
    metas = [(tmp_path / name / "meta.properties").read_text().splitlines() for name in "abc"]
    ids = [{line.partition("=")[0]: line.partition("=")[2] for line in meta} for meta in metas]
    assert len({found["cluster.id"] for found in ids}) == 1 and len({found["directory.id"] for found in ids}) == 3


def test_settings_come_from_file_environment_and_command_line(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('"num.partitions" = 2\n"max.topics" = 2\n"log.level" = "debug"\n')
    arguments = ["--config", str(file), "--set", "max.topics=4", "--log-level", "warning"]
    with serve(tmp_path / "data", *arguments, LOGSERVER_MAX_TOPICS="3", LOGSERVER_NODE_ID="7") as server:
        result = CliRunner().invoke(main, ["settings", "--json", "--server", ready(server)])
        rows = {row["name"]: (row["value"], row["source"]) for row in json.loads(result.stdout)}
        _, _, err = server.end(signal.SIGTERM)
    assert rows["num.partitions"] == (2, "file")
    assert rows["max.topics"] == (4, "command line")
    assert rows["node.id"] == (7, "environment")
    assert rows["log.level"] == ("warning", "command line")
    assert rows["min.insync.replicas"] == (1, "default")
    assert err == ""


def test_log_lines_are_json_if_wanted(tmp_path):
    with serve(tmp_path / "data", "--log-format", "json") as server:
        ready(server)
        _, _, err = server.end(signal.SIGTERM)
    lines = [json.loads(line) for line in err.splitlines()]
    assert lines
    assert all({"timestamp", "level", "event"} <= line.keys() for line in lines)


def test_a_listener_beyond_loopback_is_warned_of_once(tmp_path):
    arguments = [
        "serve",
        "--data-dir",
        str(tmp_path / "data"),
        "--grpc-listen",
        "0.0.0.0:0",
        "--kafka-listen",
        "off",
        "--log-format",
        "json",
    ]
    with Process(*arguments) as server:
        assert server.popen.stdout is not None
        assert server.popen.stdout.readline().startswith(b"ready grpc=")
        _, _, err = server.end(signal.SIGTERM)
    warnings = [line for line in map(json.loads, err.splitlines()) if line["level"] == "warning"]
    assert len(warnings) == 1
    assert "authentication" in warnings[0]["event"]


def test_a_port_in_use_is_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with Process(
            "serve", "--data-dir", str(tmp_path / "data"), "--grpc-listen", address, "--kafka-listen", "off"
        ) as server:
            code, out, err = server.end()
    assert (code, out) == (1, "")
    (error,) = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert address in error
    assert "Traceback" not in err


def test_a_data_directory_in_use_is_one_sentence(tmp_path):
    with serve(tmp_path / "data") as first:
        ready(first)
        with serve(tmp_path / "data") as second:
            code, out, err = second.end()
        assert (code, out) == (1, "")
        (error,) = [line for line in err.splitlines() if line.startswith("Error: ")]
        assert str(tmp_path / "data") in error
        assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--kafka-listen", "127.0.0.1"], "listeners can't be '127.0.0.1'"),
        (["--grpc-listen", "127.0.0.1"], "grpc.listeners can't be '127.0.0.1'"),
        (["--set", "num.partition=3"], "did you mean num.partitions?"),
        (["--log-level", "loud"], "it must be debug, info, warning or error"),
    ],
)
def test_wrong_settings_are_usage_errors(tmp_path, monkeypatch, arguments, reason):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_variable_of_ours_is_refused(tmp_path):
    with serve(tmp_path / "data", LOGSERVER_NUM_PARTITION="3") as server:
        code, out, err = server.end()
    assert (code, out) == (2, "")
    assert "did you mean LOGSERVER_NUM_PARTITIONS?" in err


def test_off_linux_it_says_in_one_sentence_what_it_needs(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    result = CliRunner().invoke(main, ["serve"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: The server needs Linux; on this system the client and the other commands work.\n"


def test_a_server_does_not_import_the_library_of_tests() -> None:
    program = """
import sys
from logserver.cli.serve import without_hypothesis

with without_hypothesis():
    import logserver.daemon
assert "kio" in sys.modules and "hypothesis" not in sys.modules, "kio has imported hypothesis"
import hypothesis.strategies
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
