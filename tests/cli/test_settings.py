"""`logserver settings`."""

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from logserver.cli import main
from logserver.settings import SERVER_DEFINITIONS, ServerSettings, load_settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    import os

    for name in list(os.environ):
        if name.startswith("LOGSERVER_"):
            monkeypatch.delenv(name)


def invoke(*arguments: str):
    return CliRunner().invoke(main, ["settings", *arguments])


def test_the_output_is_a_file_that_the_server_accepts(tmp_path: Path):
    result = invoke()
    assert (result.exit_code, result.stderr) == (0, "")
    file = tmp_path / "settings.toml"
    file.write_text(result.stdout, encoding="utf-8")
    loaded = load_settings(file=file)
    assert all(getattr(loaded, d.attribute) == d.default for d in SERVER_DEFINITIONS.values())
    assert invoke("--config", str(file)).exit_code == 0


def test_values_come_from_file_environment_and_command_line(tmp_path: Path, monkeypatch):
    file = tmp_path / "settings.toml"
    file.write_text('"node.id" = 2\n"num.partitions" = 2\n"max.topics" = 2\n')
    monkeypatch.setenv("LOGSERVER_NUM_PARTITIONS", "3")
    monkeypatch.setenv("LOGSERVER_MAX_TOPICS", "3")
    values = tomllib.loads(invoke("--config", str(file), "--set", "max.topics=4").stdout)
    assert (values["node.id"], values["num.partitions"], values["max.topics"]) == (2, 3, 4)


def test_json_is_one_array_with_typed_values():
    result = invoke("--json", "--set", "node.id=5")
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert list(rows) == list(SERVER_DEFINITIONS)
    assert rows["node.id"] == {
        "name": "node.id",
        "value": 5,
        "default": 1,
        "source": "command line",
        "documentation": SERVER_DEFINITIONS["node.id"].about.documentation,
    }
    assert rows["log.retention.ms"]["value"] is None
    assert rows["grpc.listeners"]["value"] == list(ServerSettings().grpc_listeners)


def test_a_wrong_setting_is_named_whatever_its_source(tmp_path: Path, monkeypatch):
    file = tmp_path / "settings.toml"
    file.write_text('"log.segment.byte" = 2\n')
    assert "did you mean log.segment.bytes?" in invoke("--config", str(file)).stderr
    assert "did you mean log.segment.bytes?" in invoke("--set", "log.segment.byte=1").stderr
    monkeypatch.setenv("LOGSERVER_LOG_SEGMENT_BYTE", "5000")
    result = invoke()
    assert result.exit_code == 2
    assert "did you mean LOGSERVER_LOG_SEGMENT_BYTES?" in result.stderr
