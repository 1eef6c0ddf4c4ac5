"""`logserver status`: version, doors, topics and disk of a running server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from logserver.cli.failures import talking_to
from logserver.cli.options import json_option, server_option
from logserver.cli.output import byte_text, print_json

if TYPE_CHECKING:
    from logserver_client import Status


@click.command()
@server_option
@json_option()
def status(server: str, as_json: bool) -> None:
    """Show version, doors, topics and disk of the server."""
    from logserver_client import AdminClient

    with talking_to(server), AdminClient(server) as admin:
        found = admin.status()
    if as_json:
        print_json(_document(found))
        return
    started = datetime.fromtimestamp(found.start_time_ms / 1000, UTC)
    lines = [
        ("Version", found.version),
        ("Node", f"{found.node_id} of cluster {found.cluster_id}"),
        ("Started", f"{started:%Y-%m-%d %H:%M:%S} UTC"),
        *(("Door", f"{door.door} on {door.address}") for door in found.doors),
        ("Topics", f"{found.topics} with {found.partitions} partitions, {found.offline_partitions} of them offline"),
        *(("Data", _directory_text(directory)) for directory in found.log_directories),
        ("Memory", f"{byte_text(found.rss_anon_bytes)} resident, without mapped files"),
    ]
    width = max(len(label) for label, _ in lines)
    for label, text in lines:
        click.echo(f"{label:<{width}}  {text}")


def _directory_text(directory: Any) -> str:
    text = (
        f"{directory.path}: {byte_text(directory.size_bytes)} of logs; "
        f"{byte_text(directory.free_bytes)} of {byte_text(directory.total_bytes)} free"
    )
    return text if directory.error is None else f"{text}; {directory.error.message}"


def _document(found: Status) -> dict[str, Any]:
    return {
        "version": found.version,
        "node_id": found.node_id,
        "cluster_id": found.cluster_id,
        "start_time_ms": found.start_time_ms,
        "doors": [{"door": door.door, "address": door.address} for door in found.doors],
        "topics": found.topics,
        "partitions": found.partitions,
        "offline_partitions": found.offline_partitions,
        "log_directories": [
            {
                "path": directory.path,
                "size_bytes": directory.size_bytes,
                "total_bytes": directory.total_bytes,
                "free_bytes": directory.free_bytes,
                "error": None if directory.error is None else directory.error.message,
            }
            for directory in found.log_directories
        ],
        "rss_anon_bytes": found.rss_anon_bytes,
    }
