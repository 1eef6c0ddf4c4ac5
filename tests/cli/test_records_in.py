"""Records from lines, JSON values and CSV rows."""

import csv
import io
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logserver.cli import records_in
from logserver.cli.records_in import InputError, InputRecord, Reader, csv_reader, json_reader, lines_reader

Rejected = list[tuple[int, str]]


def read(reader: Reader, data: bytes) -> tuple[list[InputRecord], Rejected]:
    rejected: Rejected = []
    records = list(reader(io.BytesIO(data), lambda line, reason: rejected.append((line, reason))))
    return records, rejected


def values(reader: Reader, data: bytes) -> list[bytes]:
    records, rejected = read(reader, data)
    assert not rejected
    return [record.value for record in records]


def keys(reader: Reader, data: bytes) -> list[bytes | None]:
    records, rejected = read(reader, data)
    assert not rejected
    return [record.key for record in records]


class TestLines:
    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (b"", []),
            (b"a", [b"a"]),
            (b"a\n", [b"a"]),
            (b"a\nb", [b"a", b"b"]),
            (b"a\n\nb\n", [b"a", b"", b"b"]),
            (b"a\r\nb\r\n", [b"a", b"b"]),
            (b"a\rb\n", [b"a\rb"]),
            (b"\x00\xff\n", [b"\x00\xff"]),
        ],
    )
    def test_a_line_is_a_value(self, data, expected):
        assert values(lines_reader(), data) == expected

    def test_the_key_stands_before_the_first_separator(self):
        records, rejected = read(lines_reader("::"), b"a::b::c\n::d\ne::\nnone\nf::g")
        assert records == [
            InputRecord(1, b"a", b"b::c"),
            InputRecord(2, b"", b"d"),
            InputRecord(3, b"e", b""),
            InputRecord(5, b"f", b"g"),
        ]
        assert rejected == [(4, "there is no key separator '::'")]

    def test_a_line_too_long_is_rejected_and_the_next_one_read(self, monkeypatch):
        monkeypatch.setattr(records_in, "LONGEST_LINE_BYTES", 10)
        records, rejected = read(lines_reader(), b"123456789\n" + b"x" * 35 + b"\nshort\n" + b"y" * 10)
        assert [record.value for record in records] == [b"123456789", b"short"]
        assert rejected == [(2, "the line is longer than 10 bytes"), (4, "the line is longer than 10 bytes")]


class TestJson:
    def test_values_are_stored_as_their_bytes(self):
        data = b'\xef\xbb\xbf {"b": 1,  "a":2.50}\r\n\n[1, 2]\n"text"\n1e400\nnull\n"\\ud800"\n'
        assert values(json_reader(), data) == [
            b'{"b": 1,  "a":2.50}',
            b"[1, 2]",
            b'"text"',
            b"1e400",
            b"null",
            b'"\\ud800"',
        ]

    @pytest.mark.parametrize(
        "line", [b"{", b"nul", b"{'a': 1}", b"NaN", b"[Infinity]", b"1 2", b'"\xff"', b"01", b"[" * 100_000, b'"\\q"']
    )
    def test_what_is_not_json_is_rejected_and_the_next_line_read(self, line):
        records, rejected = read(json_reader(), b"1\n" + line + b"\n2\n")
        assert [record.value for record in records] == [b"1", b"2"]
        assert [number for number, _ in rejected] == [2]

    def test_a_member_is_the_key(self):
        data = b"""
            {"k": "text", "v": 1}
            {"k": "\\u00e9\\n"}
            {"k": 1.50}
            {"k": -0}
            {"k": true}
            {"k": null}
            {"k": 123456789012345678901234567890}
            {"k": ""}
            {"k": 1, "k": 2}
        """
        assert keys(json_reader("k"), data) == [
            b"text",
            "é\n".encode(),
            b"1.50",
            b"-0",
            b"true",
            None,
            b"123456789012345678901234567890",
            b"",
            b"2",
        ]

    @pytest.mark.parametrize(
        "line", [b'{"v": 1}', b'{"k": {}}', b'{"k": [1]}', b"[1]", b'"k"', b'{"k": "\\ud800"}', b"{"]
    )
    def test_a_value_without_a_usable_key_is_rejected(self, line):
        records, rejected = read(json_reader("k"), line)
        assert records == []
        assert [number for number, _ in rejected] == [1]

    @given(
        st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists)
    )
    def test_everything_the_standard_library_writes_is_read(self, value):
        for ascii_only in (True, False):
            try:
                line = json.dumps(value, ensure_ascii=ascii_only).encode()
            except UnicodeEncodeError:
                continue
            assert values(json_reader(), line) == [line]


class TestCsv:
    def test_a_row_becomes_an_object_of_strings(self):
        data = b'\xef\xbb\xbfcarrier,flight,"tail ""num"""\nUA,1545,\n"B6","1,5","a\nb"\r\n'
        records, rejected = read(csv_reader(), data)
        assert not rejected
        assert [record.value for record in records] == [
            b'{"carrier":"UA","flight":"1545","tail \\"num\\"":""}',
            b'{"carrier":"B6","flight":"1,5","tail \\"num\\"":"a\\nb"}',
        ]
        assert [record.line for record in records] == [2, 4]

    def test_a_column_is_the_key(self):
        assert keys(csv_reader("b"), "a,b\n1,é\n2,\n".encode()) == ["é".encode(), b""]

    def test_an_empty_file_has_no_records(self):
        assert values(csv_reader(), b"") == []
        assert values(csv_reader(), b"a,b\n") == []

    def test_empty_lines_are_no_rows(self):
        assert len(values(csv_reader(), b"a,b\n1,2\n\n3,4\n\n")) == 2

    def test_rows_that_do_not_fit_the_header_are_rejected(self):
        records, rejected = read(csv_reader(), b'a,b\n1\n2,3\n4,5,6\n"x"y,z\n7,8\n')
        assert [record.line for record in records] == [3, 6]
        assert [number for number, _ in rejected] == [2, 4, 5]
        assert rejected[0][1] == "the row has 1 values, the header names 2"

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (b"a,b,a\n1,2,3\n", "'a' more than once"),
            (b"a,b\n1,\xff\n", "not UTF-8"),
            (b'"a"b\n', "first row is not CSV"),
        ],
    )
    def test_a_file_that_is_no_such_table_is_refused(self, data, reason):
        with pytest.raises(InputError, match=reason):
            read(csv_reader(), data)

    def test_a_missing_key_column_is_refused_with_the_columns_there_are(self):
        with pytest.raises(InputError, match="no column 'c'; its columns are a, b"):
            read(csv_reader("c"), b"a,b\n1,2\n")

    @given(
        st.lists(
            st.lists(
                st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), min_size=2, max_size=2
            ),
            max_size=5,
        )
    )
    def test_the_strings_are_those_that_the_standard_library_reads(self, rows):
        file = io.StringIO(newline="")
        csv.writer(file).writerows([["first", "second"], *rows])
        expected = [
            json.dumps(dict(zip(("first", "second"), row, strict=True)), separators=(",", ":"), ensure_ascii=False)
            for row in csv.reader(io.StringIO(file.getvalue(), newline=""))
        ][1:]
        assert values(csv_reader(), file.getvalue().encode()) == [text.encode() for text in expected]

    def test_rows_are_read_one_by_one(self):
        def pieces() -> Iterator[bytes]:
            yield b"a,b\n"
            for number in range(10_000):
                yield b"%d,x\n" % number
            raise AssertionError("read to the end although only the beginning was wanted")

        class Endless(io.RawIOBase):
            def __init__(self) -> None:
                self.pieces = pieces()

            def readable(self) -> bool:
                return True

            def readinto(self, buffer) -> int:
                piece = next(self.pieces)
                buffer[: len(piece)] = piece
                return len(piece)

        records = csv_reader()(io.BufferedReader(Endless()), lambda line, reason: None)
        assert next(records).value == b'{"a":"0","b":"x"}'
        records.close()
