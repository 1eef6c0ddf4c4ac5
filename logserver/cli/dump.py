"""`logserver dump`: prints what a file of a data directory holds."""

from __future__ import annotations

import json
from pathlib import Path

import click

from logserver.cli.failures import CommandFailed
from logserver.cli.options import json_option
from logserver.cli.progress import progress_bar


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--batches", is_flag=True, help="Of a segment, the batches only, without their records.")
@json_option("Print a JSON object in each line.")
def dump(file: Path, batches: bool, as_json: bool) -> None:
    """Print what FILE holds: a segment, an index, a snapshot of producers or a checkpoint.

    What a file is its name says, as it is in a data directory; Apache Kafka's files can be printed, too. Records of the
    server's own topics are printed with what they mean. Damaged bytes are named and passed by. The server may run.
    """
    from logserver.cli.stored_files import documents, text_of

    try:
        found = documents(file, with_records=not batches)
        with progress_bar("Reading", file.stat().st_size, prints=True) as progress:
            for document in found:
                if document["type"] == "batch":
                    progress.update(document["size"])
                click.echo(json.dumps(document, ensure_ascii=False) if as_json else text_of(document))
    except BrokenPipeError:
        # Of the output: its reader has what it wants.
        raise
    except OSError as error:
        raise CommandFailed(f"{file} can't be read: {error.strerror or error}.") from error
