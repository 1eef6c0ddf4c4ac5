"""`logserver status` and `logserver settings --server` against a real server."""

import tomllib

import logserver
from logserver.settings import SERVER_DEFINITIONS


def test_status_for_scripts(commands):
    commands.topic(3)
    status = commands.json("status")
    assert status["version"] == logserver.__version__
    assert (status["node_id"], len(status["cluster_id"])) == (1, 22)
    assert status["doors"] == [
        {"door": "grpc", "address": commands.server.grpc},
        {"door": "kafka", "address": commands.server.kafka},
    ]
    assert status["topics"] >= 1
    assert status["partitions"] >= 3
    assert status["offline_partitions"] == 0
    assert status["start_time_ms"] > 1_700_000_000_000
    assert status["rss_anon_bytes"] > 0
    (directory,) = status["log_directories"]
    assert directory["path"] == commands.server.data_dir
    assert 0 < directory["free_bytes"] <= directory["total_bytes"]
    assert directory["error"] is None


def test_status_for_people(commands):
    text = commands.ok("status").stdout
    assert [line.split()[0] for line in text.splitlines()] == [
        "Version",
        "Node",
        "Started",
        "Door",
        "Door",
        "Topics",
        "Data",
        "Memory",
    ]
    assert commands.server.grpc in text
    assert commands.server.kafka in text
    assert commands.server.data_dir in text


def test_the_settings_in_force_come_from_the_server(commands):
    address = commands.server.grpc
    values = tomllib.loads(commands.ok("settings", "--server", address).stdout)
    assert values["log.dirs"] == commands.server.data_dir
    rows = {row["name"]: row for row in commands.json("settings", "--server", address)}
    assert list(rows) == list(SERVER_DEFINITIONS)
    assert (rows["log.dirs"]["value"], rows["log.dirs"]["source"]) == ([commands.server.data_dir], "command line")
    assert rows["node.id"]["value"] == 1
    assert rows["log.retention.ms"]["value"] is None
