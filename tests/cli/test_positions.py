"""What --from and --to understand."""

from datetime import UTC, datetime, timedelta, timezone

import click
import pytest
from click.testing import CliRunner

from logserver.cli.positions import Place, parse_place, place_option


def milliseconds(*parts: int, zone: timezone = UTC) -> int:
    return int(datetime(*parts, tzinfo=zone).timestamp() * 1000)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("earliest", Place("earliest")),
        ("latest", Place("latest")),
        ("0", Place("offset", 0)),
        ("42", Place("offset", 42)),
        ("999999999999", Place("offset", 10**12 - 1)),
        ("1000000000000", Place("timestamp", 10**12)),
        ("1370044800000", Place("timestamp", 1370044800000)),
        ("9223372036854775807", Place("timestamp", 2**63 - 1)),
        ("20130601", Place("offset", 20130601)),
        ("2013-06-01", Place("timestamp", milliseconds(2013, 6, 1))),
        ("2013-06-01T12:30", Place("timestamp", milliseconds(2013, 6, 1, 12, 30))),
        ("2013-06-01 12:30:15", Place("timestamp", milliseconds(2013, 6, 1, 12, 30, 15))),
        ("2013-06-01T12:30:15Z", Place("timestamp", milliseconds(2013, 6, 1, 12, 30, 15))),
        ("20130601T123015Z", Place("timestamp", milliseconds(2013, 6, 1, 12, 30, 15))),
        (
            "2013-06-01T12:30:15-04:00",
            Place("timestamp", milliseconds(2013, 6, 1, 12, 30, 15, zone=timezone(timedelta(hours=-4)))),
        ),
        ("2013-06-01T00:00:00.001Z", Place("timestamp", milliseconds(2013, 6, 1) + 1)),
        ("2013-06-01T00:00:00.000001Z", Place("timestamp", milliseconds(2013, 6, 1) + 1)),
        ("2013-06-01T00:00:00.001000Z", Place("timestamp", milliseconds(2013, 6, 1) + 1)),
        ("1970-01-01", Place("timestamp", 0)),
        ("9999-12-31T23:59:59.999Z", Place("timestamp", 253402300799999)),
        (" earliest ", Place("earliest")),
    ],
)
def test_a_place_is_read(text: str, place: Place):
    assert parse_place(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Earliest",
        "newest",
        "-1",
        "1.5",
        "9223372036854775808",
        "9" * 5000,
        "12 34",
        "٣",
        "yesterday",
        "1969-12-31",
        "2013-13-01",
        "2013-06-01T25:00",
    ],
)
def test_anything_else_is_refused(text: str):
    with pytest.raises(ValueError):
        parse_place(text)


def test_the_clients_terms():
    from logserver_client import Timestamp

    assert parse_place("earliest").position() == "earliest"
    assert parse_place("7").position() == 7
    assert type(parse_place("7").position()) is int
    assert parse_place("1370044800000").position() == Timestamp(1370044800000)


def test_a_wrong_place_is_a_usage_error_that_says_what_to_write():
    @click.command()
    @place_option("--from", "start")
    def command(start: Place) -> None: ...

    result = CliRunner().invoke(command, ["--from", "tomorrow"])
    assert result.exit_code == 2
    assert "'tomorrow': write earliest, latest, an offset" in result.stderr
