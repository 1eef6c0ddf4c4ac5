"""`logserver produce` against a real server."""

import gzip
import json
import os
import signal
import zipfile

import pytest

from logserver.cli import produce as produce_module

from .conftest import Process


def stored(commands, topic):
    """Keys and values by partition and offset."""
    records = commands.records("replay", topic, "--from", "earliest")
    records.sort(key=lambda record: (record["partition"], record["offset"]))
    return [(record["key"], record["value"]) for record in records]


def test_lines_of_standard_input_become_records(commands):
    topic = commands.topic()
    result = commands.ok("produce", topic, input=b"one\ntwo\r\n\nl\xc3\xa4st")
    assert stored(commands, topic) == [(None, "one"), (None, "two"), (None, ""), (None, "läst")]
    assert result.stdout == ""
    assert result.stderr.startswith("Stored 4 records, 11 B in ")


def test_bytes_are_stored_as_they_are(commands):
    topic = commands.topic()
    commands.ok("produce", topic, input=b"\x00\xff\xfe\n")
    (record,) = commands.records("replay", topic, "--from", "earliest")
    assert (record["value"], record["value_encoding"]) == ("AP/+", "base64")
    assert record["key"] is None


def test_keys_of_lines(commands):
    topic = commands.topic()
    commands.ok("produce", topic, "--key-separator", r"\t", input="a\tb\tc\n\td\n")
    assert stored(commands, topic) == [("a", "b\tc"), ("", "d")]


def test_json_values_and_their_keys(commands):
    topic = commands.topic()
    commands.ok("produce", topic, "--format", "json", "--key-field", "k", input='{"k": 1.50,  "v": 2}\n {"k":"ä"}\n')
    assert stored(commands, topic) == [("1.50", '{"k": 1.50,  "v": 2}'), ("ä", '{"k":"ä"}')]


def test_rows_of_csv_in_every_packing(commands, tmp_path):
    content = b'carrier,note\nUA,"a, b"\nB6,\n'
    (tmp_path / "plain.csv").write_bytes(content)
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(content))
    with zipfile.ZipFile(tmp_path / "both.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("one.csv", content)
        archive.writestr("two.csv", b"carrier\nAA\n")
    topic = commands.topic()
    files = [str(tmp_path / name) for name in ("plain.csv", "packed.csv.gz", "both.zip")]
    commands.ok("produce", topic, *files, "--format", "csv", "--key-field", "carrier")
    rows = [("UA", '{"carrier":"UA","note":"a, b"}'), ("B6", '{"carrier":"B6","note":""}')]
    assert stored(commands, topic) == [*rows, *rows, *rows, ("AA", '{"carrier":"AA"}')]


def test_records_of_a_key_keep_their_order_in_one_partition(commands):
    topic = commands.topic(7)
    commands.ok("produce", topic, "--key-separator", ":", input="".join(f"{n % 50}:{n}\n" for n in range(5000)))
    found = {}
    for record in commands.records("replay", topic, "--from", "earliest"):
        found.setdefault(record["key"], []).append((record["partition"], int(record["value"])))
    assert len(found) == 50
    for key, places in found.items():
        assert len({partition for partition, _ in places}) == 1
        assert [value for _, value in places] == list(range(int(key), 5000, 50))


def test_the_summary_for_scripts_is_one_json_document(commands):
    topic = commands.topic()
    document = commands.json("produce", topic, "--key-separator", ":", input="k:vv\nk:v\n")
    assert document.pop("seconds") >= 0
    assert document.pop("records_per_second") >= 0
    assert document.pop("bytes_per_second") >= 0
    assert document == {"topic": topic, "records": 2, "bytes": 5, "failed": 0, "first_error": None}


def test_nothing_to_produce_is_no_error(commands):
    assert commands.json("produce", commands.topic(), input="")["records"] == 0


def test_lines_that_are_no_records_fail_and_the_others_are_stored(commands):
    topic = commands.topic()
    result = commands.run("produce", topic, "--format", "json", "--json", input='1\nnot json\n2\n{"a":\n')
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["records"], document["failed"]) == (2, 2)
    assert document["first_error"].startswith("standard input, line 2: It is not JSON")
    assert "Error: 2 of 4 records failed. The first: standard input, line 2: " in result.stderr
    assert stored(commands, topic) == [(None, "1"), (None, "2")]


def test_a_record_that_the_server_refuses_fails_and_the_others_are_stored(commands):
    topic = commands.topic(max_message_bytes="1000")
    lines = ["a", "x" * 2000, "b"]
    result = commands.run("produce", topic, input="\n".join(lines))
    assert result.exit_code == 1
    assert "1 of 3 records failed. The first: standard input, line 2: " in result.stderr
    assert "max.message.bytes" in result.stderr
    assert stored(commands, topic) == [(None, "a"), (None, "b")]


def test_an_unknown_topic_ends_the_work_at_once(commands, tmp_path):
    path = tmp_path / "many"
    path.write_text("line\n" * 100_000)
    result = commands.run("produce", "no-such-topic", str(path), "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["failed"] == 1
    assert "no-such-topic" in result.stderr
    assert "Nothing was read beyond it." in result.stderr


def test_a_missing_key_column_names_the_columns_there_are(commands, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n1,2\n")
    result = commands.run("produce", commands.topic(), str(path), "--format", "csv", "--key-field", "z")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{path} can't be read as --format says: it has no column 'z'; its columns are x, y." in result.stderr


def test_what_was_stored_before_a_broken_file_is_told(commands, tmp_path):
    (tmp_path / "good").write_text("a\n")
    (tmp_path / "broken.gz").write_bytes(gzip.compress(os.urandom(5000))[:-9])
    topic = commands.topic()
    result = commands.run("produce", topic, str(tmp_path / "good"), str(tmp_path / "broken.gz"))
    assert result.exit_code == 1
    assert "broken.gz can't be unpacked" in result.stderr
    assert (None, "a") in stored(commands, topic)


def test_more_records_than_may_be_unanswered(commands, monkeypatch):
    monkeypatch.setattr(produce_module, "_MOST_UNANSWERED", 10)
    monkeypatch.setattr(produce_module, "_LOOK_EVERY", 3)
    topic = commands.topic(3)
    assert commands.json("produce", topic, input="x\n" * 1000)["records"] == 1000
    assert len(stored(commands, topic)) == 1000


def test_lines_are_stored_as_they_come(commands):
    topic = commands.topic()
    with (
        Process("consume", topic, "--from", "earliest", "--max", "2", "--server", commands.server.grpc) as reader,
        Process("produce", topic, "--server", commands.server.grpc) as writer,
    ):
        assert writer.popen.stdin is not None and reader.popen.stdout is not None
        for text in (b"first\n", b"second\n"):
            writer.popen.stdin.write(text)
            writer.popen.stdin.flush()
            # The second line is written only when the first has come out at the other end.
            assert reader.popen.stdout.readline() == text
        assert reader.end()[0] == 0
        assert writer.end()[0] == 0


def test_an_interrupt_stores_what_was_read(commands):
    topic = commands.topic()
    with Process("produce", topic, "--server", commands.server.grpc) as writer:
        assert writer.popen.stdin is not None
        writer.popen.stdin.write(b"kept\n")
        writer.popen.stdin.flush()
        assert commands.ok("consume", topic, "--from", "earliest", "--max", "1").stdout == "kept\n"
        code, out, err = writer.end(signal.SIGINT)
    assert (code, out) == (130, "")
    assert err.startswith("Stored 1 record, ")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "command",
    [
        ["topics", "list"],
        ["produce", "x"],
        ["consume", "x"],
        ["replay", "x", "--from", "1"],
        ["replay", "x", "--from", "1", "--into", "y"],
        ["groups", "list"],
        ["consume", "x", "--group", "g"],
        ["status"],
    ],
)
def test_without_a_server_commands_fail_at_once_and_say_what_to_do(commands, command):
    with_json = [] if command[0] == "produce" else ["--json"]
    result = commands.run(*command, *with_json, "--server", "127.0.0.1:1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: No server answers at 127.0.0.1:1")
    assert "logserver serve" in result.stderr
