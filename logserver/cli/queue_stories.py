"""`logserver queues explain`: what became of a message."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from logserver.cli.failures import talking_to
from logserver.cli.options import json_option, server_option
from logserver.cli.output import NOTHING, print_json, print_table
from logserver.cli.queue_text import time_text

if TYPE_CHECKING:
    from logserver_client import Story


@click.command()
@click.argument("topic")
@click.argument("partition", type=click.IntRange(0, 2**31 - 1))
@click.argument("offset", type=click.IntRange(0, 2**63 - 1))
@click.option("--queue", default="", metavar="NAME", help="Only in this queue.")
@server_option
@json_option("Print one JSON array, with a story for each queue.")
def explain(topic: str, partition: int, offset: int, queue: str, server: str, as_json: bool) -> None:
    """Tell what became of the message at OFFSET of PARTITION of TOPIC, in every queue that has it."""
    from logserver_client import Queues

    with talking_to(server), Queues(server) as client:
        stories = client.explain(topic, partition, offset, queue=queue)
    if as_json:
        print_json([asdict(story) for story in stories])
    elif not stories:
        click.echo(f"There are no queues on {topic}.", err=True)
    for number, story in enumerate(() if as_json else stories):
        if number:
            click.echo()
        _print(story)


def _print(story: Story) -> None:
    holder = f", held by {story.holder}" if story.holder else ""
    until = f", until {time_text(story.until_ms)}" if story.until_ms is not None else ""
    click.echo(f"{story.queue}: {story.state}{holder}{until}. {story.next}")
    if story.events:
        click.echo()
        print_table(
            ("TIME", "EVENT", "DELIVERIES", "FAILURES", "BY", "UNTIL", "REASON"),
            [
                (
                    time_text(event.at_ms),
                    event.kind,
                    event.deliveries,
                    event.failures,
                    event.owner or NOTHING,
                    time_text(event.until_ms),
                    event.reason or NOTHING,
                )
                for event in story.events
            ],
        )
