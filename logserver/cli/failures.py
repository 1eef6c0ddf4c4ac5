"""How commands fail: a sentence on standard error, and 1 as the exit code (2 is click's, for wrong usage)."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

INTERRUPTED: Final = 130
"""Exit code after SIGINT, as shells give it."""

ERRORS_OF_ONE_RECORD: Final = frozenset(
    {"MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_RECORD", "INVALID_TIMESTAMP", "CORRUPT_MESSAGE"}
)
"""Names of errors after which the next record may well be stored; after any other it would meet the same."""

_CONNECT_TIMEOUT_S: Final = 5.0


class CommandFailed(click.ClickException):
    """A command could not do what it was asked to; the message is a sentence. Exit code 1."""

    exit_code = 1


@contextmanager
def talking_to(server: str) -> Iterator[None]:
    """Turns what the client raises into a failed command with the server's sentence.

    Raises CommandFailed at once if nobody listens there: the client itself would wait for a server that restarts,
    which is right in the middle of work but not at its beginning.
    """
    from logserver_client.errors import ConnectionFailed, LogServerError

    _knock(server)
    try:
        yield
    except ConnectionFailed as error:
        raise _nobody(server, error.message) from error
    except LogServerError as error:
        raise CommandFailed(sentence(error.message or error.name)) from error


def _knock(server: str) -> None:
    from logserver.settings.addresses import parse_address

    try:
        socket.create_connection(parse_address(server), _CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise _nobody(server, f"no server answers at {server}: {error.strerror or error}") from error


def _nobody(server: str, reason: str) -> CommandFailed:
    return CommandFailed(
        f"{sentence(reason)} Start one with `logserver serve`, "
        f"or name another than {server} with --server or LOGSERVER_SERVER."
    )


def disk_refused(error: OSError) -> str:
    """Returns the sentence about a disk that did not do what it was asked to."""
    where = f": {error.filename}" if error.filename else ""
    return f"The disk refused: {error.strerror or error}{where}"


def sentence(text: str) -> str:
    """The text with a capital at its beginning and a full stop at its end."""
    text = text.strip()
    first, _, _ = text.partition(" ")
    if first.isalpha():
        # A setting's name, a path or an address stays as it is.
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def silence_standard_output() -> None:
    """Lets what is still buffered for a closed pipe go nowhere, so that the interpreter's exit can't fail on it."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)
