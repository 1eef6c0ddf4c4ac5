"""Records on standard output."""

import io
import json

import pytest
from logserver_client.types import Record

from logserver.cli import records_out
from logserver.cli.records_out import RecordWriter, json_line, value_line


def record(key=b"k", value=b"v", headers=(), offset=7):
    return Record("flights", 3, offset, 1370044800000, key, value, headers)


def test_a_value_is_written_as_its_bytes_and_a_line_end():
    assert value_line(record(value=b"\x00\xff\n")) == b"\x00\xff\n\n"
    assert value_line(record(value=b"")) == b"\n"
    assert value_line(record(value=None)) == b"\n"


def test_a_record_as_json():
    line = json_line(record(key="é".encode(), value=b'{"a":1}', headers=[("trace", b"1"), ("none", None)]))
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "topic": "flights",
        "partition": 3,
        "offset": 7,
        "timestamp": 1370044800000,
        "key": "é",
        "value": '{"a":1}',
        "headers": [{"key": "trace", "value": "1"}, {"key": "none", "value": None}],
    }


def test_bytes_that_are_no_text_are_base64_and_say_so():
    document = json.loads(json_line(record(key=b"\xff", value=b"\x80\x00", headers=[("h", b"\xfe")])))
    assert (document["key"], document["key_encoding"]) == ("/w==", "base64")
    assert (document["value"], document["value_encoding"]) == ("gAA=", "base64")
    assert document["headers"] == [{"key": "h", "value": "/g==", "value_encoding": "base64"}]


def test_null_and_empty_are_told_apart():
    document = json.loads(json_line(record(key=None, value=b"")))
    assert (document["key"], document["value"], document["headers"]) == (None, "", [])
    assert "key_encoding" not in document


def test_what_was_taken_is_visible_after_a_flush():
    out = io.BytesIO()
    with RecordWriter("value", stream=out) as writer:
        writer.write([record(value=b"a"), record(value=b"b")])
        assert out.getvalue() == b""
        writer.flush()
        assert out.getvalue() == b"a\nb\n"
        writer.write([record(value=b"c")])
    assert out.getvalue() == b"a\nb\nc\n"
    assert (writer.records, writer.bytes) == (3, 6)


def test_much_is_passed_on_without_a_flush(monkeypatch):
    monkeypatch.setattr(records_out, "_BUFFER_BYTES", 4)
    out = io.BytesIO()
    with RecordWriter("value", stream=out) as writer:
        writer.write(record(value=b"a") for _ in range(3))
        assert out.getvalue() == b"a\na\n"


class Stubborn(io.RawIOBase):
    """A file without a buffer that takes three bytes at a time."""

    def __init__(self):
        self.taken = b""

    def write(self, data):
        self.taken += bytes(data[:3])
        return len(data[:3])


def test_a_file_that_takes_parts_gets_everything():
    out = Stubborn()
    with RecordWriter("value", stream=out) as writer:
        writer.write([record(value=b"hello"), record(value=b"world")])
    assert out.taken == b"hello\nworld\n"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_an_array_of_records_is_one_json_document(count):
    out = io.BytesIO()
    with RecordWriter("value", as_array=True, stream=out) as writer:
        for offset in range(count):
            writer.write([record(offset=offset)])
    assert [document["offset"] for document in json.loads(out.getvalue())] == list(range(count))


def test_an_array_is_closed_when_the_command_is_interrupted():
    out = io.BytesIO()
    with pytest.raises(KeyboardInterrupt), RecordWriter("json", as_array=True, stream=out) as writer:
        writer.write([record()])
        raise KeyboardInterrupt
    assert len(json.loads(out.getvalue())) == 1
