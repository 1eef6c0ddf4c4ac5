"""The server's log lines."""

import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from logserver.log_output import configure_log_output, get_logger


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(level: str = "info", form: str = "text", stream: io.StringIO | None = None) -> io.StringIO:
    stream = stream or io.StringIO()
    configure_log_output(level, form, stream=stream)
    return stream


def test_a_line_has_time_level_event_and_fields():
    out = lines()
    get_logger("logserver.broker").info("Topic created", topic="flights", partitions=12, note="two words", empty="")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    Topic created "
        r'topic=flights partitions=12 note="two words" empty=""\n',
        out.getvalue(),
    )


def test_json_lines_keep_the_types_of_fields():
    out = lines(form="json")
    get_logger("logserver.broker").warning("Disk full", free_bytes=0, path="ä\n", error=OSError("no"))
    document = json.loads(out.getvalue())
    assert document.pop("timestamp").endswith("Z")
    assert document == {
        "level": "warning",
        "logger": "logserver.broker",
        "event": "Disk full",
        "free_bytes": 0,
        "path": "ä\n",
        "error": "no",
    }


def test_lines_below_the_level_are_dropped():
    out = lines(level="warning")
    get_logger("x").info("no")
    get_logger("x").warning("yes")
    logging.getLogger("y").info("no")
    assert out.getvalue().count("\n") == 1


def test_lines_of_libraries_come_in_the_same_form():
    out = lines(form="json")
    logging.getLogger("grpc._server").error("Exception calling %s", "it")
    logging.getLogger("grpc._server").info("a connection")
    document = json.loads(out.getvalue())
    assert (document["logger"], document["event"]) == ("grpc._server", "Exception calling it")


def test_whoever_asks_structlog_itself_gets_the_same_lines():
    out = lines()
    structlog.get_logger().info("100% done", step=1)
    assert out.getvalue().endswith("INFO    100% done step=1\n")


@pytest.mark.parametrize("form", ["text", "json"])
def test_exceptions_carry_their_traceback(form):
    out = lines(form=form)
    try:
        raise ValueError("broken")
    except ValueError:
        get_logger("x").exception("Failed", topic="a")
    assert "Traceback (most recent call last)" in out.getvalue()
    assert "ValueError: broken" in out.getvalue()
    assert out.getvalue().count("\n") == 1 or form == "text"


def test_control_characters_do_not_make_lines_of_their_own():
    out = lines()
    get_logger("x").info("Client \n2030 ERROR \x1b[31mfake", client="a\nb\x1b")
    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue()


def test_colours_on_a_terminal_only():
    out = lines(stream=Terminal())
    get_logger("x").info("hello", a=1)
    assert "\x1b[" in out.getvalue()


def test_without_configuration_a_host_program_decides(caplog):
    with caplog.at_level(logging.INFO):
        get_logger("logserver.broker").info("Topic created", topic="flights")
    assert [record.getMessage() for record in caplog.records] == ["Topic created topic=flights"]


def test_nothing_goes_to_standard_output():
    code = (
        "from logserver.log_output import *; get_logger('a').warning('before');"
        "configure_log_output(); get_logger('a').info('after'); import structlog; structlog.get_logger().info('also')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    assert [line.split()[-1] for line in done.stderr.splitlines()] == ["before", "after", "also"]
