"""`logserver replay`: a range of a topic, from one place to another, to standard output or into another topic."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from logserver.cli.consume import FORMAT_OPTION, ISOLATION_OPTION
from logserver.cli.failures import CommandFailed, talking_to
from logserver.cli.options import json_option, partition_option, server_option
from logserver.cli.output import print_json, summary_document, summary_text
from logserver.cli.pace import Pace, rate_option
from logserver.cli.positions import Place, place_option
from logserver.cli.progress import progress_bar
from logserver.cli.reading import count_of, one_by_one, range_of, write_range
from logserver.cli.records_out import RecordWriter
from logserver.cli.stopping import StopSignals
from logserver.cli.storing import Storing

if TYPE_CHECKING:
    from logserver_client._consume.config import IsolationLevel


@click.command()
@click.argument("topic")
@place_option("--from", "start", required=True, help="Where to start in each partition (inclusive).")
@place_option("--to", "end", help="Where to end (exclusive); what is there at the start unless given.")
@partition_option("Only this partition.")
@click.option("--into", metavar="TOPIC2", help="Store the records in this topic, which must exist, and print none.")
@rate_option("At most so many records a second, at an even pace.")
@ISOLATION_OPTION
@FORMAT_OPTION
@server_option
@json_option("Print one JSON array of all records; with --into the summary as one JSON document.")
@click.pass_context
def replay(
    ctx: click.Context,
    topic: str,
    start: Place,
    end: Place | None,
    partition: int | None,
    into: str | None,
    rate: float | None,
    isolation: IsolationLevel,
    form: str,
    server: str,
    as_json: bool,
) -> None:
    """Print a range of the records of TOPIC, or store it in another topic, then exit.

    TIMESTAMP is milliseconds since the epoch (from 10^12 on; smaller integers are offsets) or an ISO-8601 time,
    UTC unless it says otherwise. An offset applies to each partition; those that end before it are skipped with a
    note, and it is an error if all do. A summary goes to standard error, also when interrupted.

    \b
    Yesterday's flights once more, into a topic for tests, a thousand a second:
      logserver replay flights --from 2026-01-01 --to 2026-01-02 --into flights-test --rate 1000

    With --into records keep key, value, headers and timestamp; the key chooses the partition, and those of a partition
    come in their order. They also keep their age: a retention.ms of TOPIC2 that is shorter deletes them soon.
    Where the range ends is settled at the start, so TOPIC2 may be TOPIC: its records are then there twice.
    """
    if end is not None and end.kind == start.kind and end.number < start.number:
        raise click.UsageError(f"--to {end} is before --from {start}.")
    pace = None if rate is None else Pace(rate)
    if into is None:
        _print(server, topic, start, end, partition, pace, isolation, form, as_json)
    elif ctx.get_parameter_source("form") is not ParameterSource.DEFAULT:
        raise click.UsageError("--format is for records that are printed; --into stores them.")
    else:
        _store(server, topic, start, end, partition, pace, isolation, into, as_json)


def _print(
    server: str,
    topic: str,
    start: Place,
    end: Place | None,
    partition: int | None,
    pace: Pace | None,
    isolation: IsolationLevel,
    form: str,
    as_json: bool,
) -> None:
    started = time.monotonic()
    writer = RecordWriter(form, as_array=as_json)
    try:
        with talking_to(server), writer:
            write_range(writer, server, topic, start, end, partition, pace=pace, isolation=isolation)
    except KeyboardInterrupt:
        _say("", writer.records, writer.bytes, time.monotonic() - started)
        raise
    _say("", writer.records, writer.bytes, time.monotonic() - started)


def _store(
    server: str,
    topic: str,
    start: Place,
    end: Place | None,
    partition: int | None,
    pace: Pace | None,
    isolation: IsolationLevel,
    into: str,
    as_json: bool,
) -> None:
    from logserver_client import Producer

    with talking_to(server):
        _check_exists(server, into)
        producer = Producer(server)
        storing = Storing(producer, into)
        started = time.monotonic()
        try:
            # An interrupt ends the reading; what has been read is stored, which a second one does not wait for.
            with (
                StopSignals() as stop,
                producer,
                range_of(server, topic, start, end, partition, isolation) as records,
                progress_bar("Replaying", count_of(records)) as progress,
            ):
                for record in one_by_one(records, progress, stop, pace):
                    storing.wait_for_room(stop)
                    storing.send(record)
                    if storing.is_hopeless:
                        break
        except BaseException:
            if storing.sent:
                _summarise(storing, topic, into, time.monotonic() - started, as_json)
            raise
    _summarise(storing, topic, into, time.monotonic() - started, as_json)
    if storing.failed:
        stop_text = " Nothing was read beyond it." if storing.is_hopeless else ""
        raise CommandFailed(
            f"{storing.failed:,} of {storing.sent:,} records failed. The first: {storing.first_error}{stop_text}"
        )


def _check_exists(server: str, topic: str) -> None:
    """Raises UnknownTopicOrPartition, which nobody would hear of if the range were empty."""
    from logserver_client import AdminClient

    with AdminClient(server) as admin:
        admin.describe_topic(topic)


def _summarise(storing: Storing, topic: str, into: str, seconds: float, as_json: bool) -> None:
    _say(f" into {into}", storing.stored, storing.bytes, seconds)
    if storing.under_way:
        click.echo(f"{storing.under_way:,} more were sent; whether they are stored is not known.", err=True)
    if as_json:
        document = {"topic": topic, "into": into, **summary_document(storing.stored, storing.bytes, seconds)}
        print_json(document | {"failed": storing.failed, "first_error": storing.first_error})


def _say(where: str, records: int, bytes_count: int, seconds: float) -> None:
    click.echo(f"Replayed {summary_text(records, bytes_count, seconds)}{where}.", err=True)
