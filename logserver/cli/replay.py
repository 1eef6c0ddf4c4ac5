"""`logserver replay`: a range of a topic, from one place to another."""

from __future__ import annotations

import time

import click

from logserver.cli.consume import FORMAT_OPTION
from logserver.cli.failures import talking_to
from logserver.cli.options import json_option, partition_option, server_option
from logserver.cli.output import summary_text
from logserver.cli.positions import Place, place_option
from logserver.cli.reading import write_range
from logserver.cli.records_out import RecordWriter


@click.command()
@click.argument("topic")
@place_option("--from", "start", required=True, help="Where to start in each partition (inclusive).")
@place_option("--to", "end", help="Where to end (exclusive); what is there at the start unless given.")
@partition_option("Only this partition.")
@FORMAT_OPTION
@server_option
@json_option("Print one JSON array of all records.")
def replay(
    topic: str, start: Place, end: Place | None, partition: int | None, form: str, server: str, as_json: bool
) -> None:
    """Print a range of the records of TOPIC, then exit.

    TIMESTAMP is milliseconds since the epoch (from 10^12 on; smaller integers are offsets) or an ISO-8601 time,
    UTC unless it says otherwise. An offset applies to each partition; those that end before it are skipped with a
    note, and it is an error if all do. A summary goes to standard error.
    """
    if end is not None and end.kind == start.kind and end.number < start.number:
        raise click.UsageError(f"--to {end} is before --from {start}.")
    started = time.monotonic()
    with talking_to(server), RecordWriter(form, as_array=as_json) as writer:
        write_range(writer, server, topic, start, end, partition)
    seconds = time.monotonic() - started
    click.echo(f"Replayed {summary_text(writer.records, writer.bytes, seconds)}.", err=True)
