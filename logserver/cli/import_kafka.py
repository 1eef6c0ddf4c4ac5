"""`logserver import-kafka`: brings a stopped Apache Kafka's topics and groups into a new data directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from logserver.cli.options import directory_name, json_option
from logserver.cli.output import byte_text, count_text, print_json, print_table

if TYPE_CHECKING:
    from logserver.cli.importing import Report


@click.command("import-kafka")
@click.argument("kafka_directories", nargs=-1, required=True, type=directory_name, metavar="KAFKA_DIR...")
@click.argument("directory", type=directory_name, metavar="DIR")
@click.option("--node-id", type=click.IntRange(0), default=1, show_default=True, help="node.id of the server to be.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Processes to work with; one for each processor unless given, 8 at most.",
)
@json_option()
def import_kafka(
    kafka_directories: tuple[str, ...], directory: str, node_id: int, jobs: int | None, as_json: bool
) -> None:
    """Bring topics and groups of a stopped Apache Kafka broker into the new data directory DIR.

    KAFKA_DIR is a directory of the broker's log.dirs; name them all if it has several. They are only read. Topics keep
    their ids, settings, records and offsets, groups their positions, transactions their states, and the cluster its id.
    Records are copied as they are, and every batch is checked on the way. Where Kafka's metadata can't be read, topics
    get default settings, and a warning says so.

    Settings of the broker itself (server.properties) are not in its data: give those that matter to `logserver serve`.
    """
    from logserver.cli.importing import import_kafka as run

    report = run(kafka_directories, directory, node_id=node_id, jobs=jobs)
    if as_json:
        print_json(_document(report))
        return
    print_table(
        ("TOPIC", "PARTITIONS", "RECORDS", "SIZE"),
        [(topic.name, topic.partitions, topic.records, byte_text(topic.bytes_copied)) for topic in report.topics],
    )
    click.echo()
    for warning in report.warnings:
        click.echo(f"Warning: {warning}.", err=True)
    click.echo(
        f"Brought in {count_text(report.records, 'record')} of {count_text(len(report.topics), 'topic')}, "
        f"{count_text(report.groups, 'group')} with {count_text(report.committed_offsets, 'committed offset')} and "
        f"{count_text(report.transactional_ids, 'transactional id')}, {byte_text(report.bytes_copied)} in "
        f"{report.seconds:.1f} s."
    )
    node = f" --set node.id={node_id}" if node_id != 1 else ""
    click.echo(f"Start the server with `logserver serve --data-dir {report.directory}{node}`.")


def _document(report: Report) -> dict[str, Any]:
    return {
        "directory": report.directory,
        "cluster_id": report.cluster_id,
        "node_id": report.node_id,
        "topics": [
            {
                "name": topic.name,
                "topic_id": topic.topic_id,
                "partitions": topic.partitions,
                "settings": topic.settings,
                "records": topic.records,
                "bytes": topic.bytes_copied,
                "end_offsets": topic.end_offsets,
            }
            for topic in report.topics
        ],
        "records": report.records,
        "bytes": report.bytes_copied,
        "groups": report.groups,
        "committed_offsets": report.committed_offsets,
        "transactional_ids": report.transactional_ids,
        "seconds": round(report.seconds, 3),
        "warnings": report.warnings,
    }
