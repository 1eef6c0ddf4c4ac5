"""`logserver produce`: records from files or standard input into a topic."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from logserver.cli.failures import ERRORS_OF_ONE_RECORD, CommandFailed, sentence, talking_to
from logserver.cli.options import json_option, server_option
from logserver.cli.output import print_json, summary_document, summary_text
from logserver.cli.progress import FileProgress, progress_bar
from logserver.cli.records_in import InputError, InputRecord, Reader, csv_reader, json_reader, lines_reader
from logserver.cli.sources import readable, sources, total_bytes

if TYPE_CHECKING:
    from logserver_client import Producer, RecordFuture

_MOST_UNANSWERED: Final = 50_000
"""Records sent and not yet looked at again; with the producer's own limit of bytes it bounds the memory."""

_LOOK_EVERY: Final = 1_000
"""Records between two looks for answers."""


@dataclass(slots=True)
class Outcome:
    """What became of the records so far."""

    stored: int = 0
    bytes: int = 0
    failed: int = 0
    first_error: str | None = None
    hopeless: bool = False
    """True after an error that the next record would meet as well."""

    def fail(self, place: str, reason: str) -> None:
        self.failed += 1
        if self.first_error is None:
            self.first_error = f"{place}: {reason}"


@dataclass(slots=True)
class Sending:
    """Records under way to one topic, in the order they were read."""

    producer: Producer[bytes, bytes]
    topic: str
    outcome: Outcome
    unanswered: deque[tuple[str, int, int, RecordFuture]] = field(default_factory=deque)

    def send(self, source: str, record: InputRecord) -> None:
        """Sends a record; blocks while too many are under way."""
        from logserver_client.errors import LogServerError

        try:
            future = self.producer.send(self.topic, record.value, key=record.key)
        except LogServerError as error:
            self._failed(source, record.line, error)
            return
        size = len(record.value) + len(record.key or b"")
        self.unanswered.append((source, record.line, size, future))
        if len(self.unanswered) % _LOOK_EVERY == 0:
            self.look(most=_MOST_UNANSWERED)

    def look(self, most: int) -> None:
        """Takes note of the answers that are there, and waits until no more than `most` are missing."""
        unanswered, outcome = self.unanswered, self.outcome
        while unanswered and (len(unanswered) > most or unanswered[0][3].done()):
            source, line, size, future = unanswered.popleft()
            error = future.exception()
            if error is None:
                outcome.stored += 1
                outcome.bytes += size
            else:
                self._failed(source, line, error)

    def _failed(self, source: str, line: int, error: Any) -> None:
        self.outcome.fail(f"{source}, line {line}", sentence(error.message or error.name))
        if error.name not in ERRORS_OF_ONE_RECORD:
            self.outcome.hopeless = True


@click.command()
@click.argument("topic")
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--format",
    "form",
    type=click.Choice(["lines", "json", "csv"]),
    default="lines",
    show_default=True,
    help="What a record is: a line, a JSON value in a line, or a row below the header.",
)
@click.option("--key-field", metavar="NAME", help="Column (csv) or member (json) that is the key.")
@click.option("--key-separator", metavar="SEP", help=r"With lines: ends the key at the line's beginning; \t is a tab.")
@server_option
@json_option("Print the summary as one JSON document on standard output.")
def produce(
    topic: str,
    files: tuple[str, ...],
    form: str,
    key_field: str | None,
    key_separator: str | None,
    server: str,
    as_json: bool,
) -> None:
    """Store records in TOPIC, from FILEs or from standard input.

    A file that ends in .gz or .zip is read as what is in it. A CSV row becomes a JSON object whose values are
    the file's strings. When everything is acknowledged a summary goes to standard error; the exit code is 1 if
    any record failed.
    """
    reader = _reader(form, key_field, key_separator)
    outcome = Outcome()
    started = time.monotonic()
    try:
        _produce(server, topic, files, reader, outcome)
    except BaseException:
        # A file turned out to be broken, or somebody interrupted: what was stored until then stays.
        if outcome.stored:
            _summarise(topic, outcome, time.monotonic() - started, as_json)
        raise
    _summarise(topic, outcome, time.monotonic() - started, as_json)
    if outcome.failed:
        stop = " Nothing was read beyond it." if outcome.hopeless else ""
        total = outcome.stored + outcome.failed
        raise CommandFailed(f"{outcome.failed:,} of {total:,} records failed. The first: {outcome.first_error}{stop}")


def _reader(form: str, key_field: str | None, key_separator: str | None) -> Reader:
    if key_separator is not None and form != "lines":
        raise click.UsageError(f"--key-separator goes with --format lines, not {form}.")
    if key_field is not None and form == "lines":
        raise click.UsageError("--key-field goes with --format json or csv, not lines.")
    if key_separator == "":
        raise click.UsageError("--key-separator can't be empty.")
    if form == "json":
        return json_reader(key_field)
    if form == "csv":
        return csv_reader(key_field)
    return lines_reader(None if key_separator is None else key_separator.replace(r"\t", "\t"))


def _produce(server: str, topic: str, files: tuple[str, ...], reader: Reader, outcome: Outcome) -> None:
    from logserver_client import Producer

    with talking_to(server):
        producer = Producer(server)
        sending = Sending(producer, topic, outcome)
        try:
            with producer:
                for source, record in _records(files, reader, outcome):
                    sending.send(source, record)
                    if outcome.hopeless:
                        break
        finally:
            # Closing has brought every answer, unless somebody would not wait for that.
            sending.look(most=len(sending.unanswered))


def _records(files: tuple[str, ...], reader: Reader, outcome: Outcome) -> Iterator[tuple[str, InputRecord]]:
    """Every record of every file with the name of its source; lines that are none count as failed."""
    with progress_bar("Producing", total_bytes(files)) as bar:
        progress = FileProgress(bar)
        for source in sources(files):
            reject = partial(_reject, outcome, source.name)
            with readable(source.name):
                try:
                    for count, record in enumerate(reader(source.stream, reject)):
                        yield source.name, record
                        if count % _LOOK_EVERY == 0:
                            progress.note(source.file)
                except InputError as error:
                    raise CommandFailed(f"{source.name} can't be read as --format says: {error}.") from error


def _reject(outcome: Outcome, source: str, line: int, reason: str) -> None:
    outcome.fail(f"{source}, line {line}", sentence(reason))


def _summarise(topic: str, outcome: Outcome, seconds: float, as_json: bool) -> None:
    click.echo(f"Stored {summary_text(outcome.stored, outcome.bytes, seconds)}.", err=True)
    if as_json:
        document = {"topic": topic, **summary_document(outcome.stored, outcome.bytes, seconds)}
        print_json(document | {"failed": outcome.failed, "first_error": outcome.first_error})
