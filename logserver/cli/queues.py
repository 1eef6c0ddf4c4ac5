"""`logserver queues`: declare, list, describe, purge and delete queues, and move messages between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from logserver.cli.failures import talking_to
from logserver.cli.options import json_option, pairs_option, server_option
from logserver.cli.output import NOTHING, print_json, print_table
from logserver.cli.queue_messages import peek, receive, send
from logserver.cli.queue_stories import explain
from logserver.cli.queue_text import age_text, error_document

if TYPE_CHECKING:
    from logserver_client import QueueCounts, QueueDescription, Queues

SECONDS: Final = click.FloatRange(min=0)


@click.group()
def queues() -> None:
    """Declare and look after work queues, and send and receive their messages.

    \b
    A queue whose messages are tried five times, a second after the first failure, then two, four and so on:
      logserver queues declare mails --max-deliveries 5 --retry-delay 1 --dead-letter-topic mails.dead
      echo 'to all' | logserver queues send mails
      logserver queues receive mails
      logserver queues describe mails
    """


@contextmanager
def queues_of(server: str) -> Iterator[Queues]:
    """The client for queues; what it raises becomes a failed command as `talking_to` says."""
    from logserver_client import Queues

    with talking_to(server), Queues(server) as client:
        yield client


@queues.command("list")
@server_option
@json_option("Print one JSON array.")
def list_(server: str, as_json: bool) -> None:
    """List the queues; share groups of Kafka clients are TOPIC/GROUP."""
    with queues_of(server) as client:
        found = sorted(client.list(), key=lambda queue: queue.name)
    if as_json:
        print_json([_document(queue) for queue in found])
    elif found:
        print_table(
            ("NAME", "READY", "DELAYED", "IN FLIGHT", "DEAD", "CONSUMERS", "OLDEST READY"),
            [
                (
                    queue.name,
                    queue.counts.ready,
                    queue.counts.delayed,
                    queue.counts.in_flight,
                    NOTHING if queue.dead_lettered is None else queue.dead_lettered,
                    queue.consumers,
                    age_text(queue.oldest_ready_ms),
                )
                for queue in found
            ],
        )
    else:
        click.echo("There are no queues.", err=True)


@queues.command()
@click.argument("name")
@click.option("--partitions", type=click.IntRange(min=1), metavar="N", help="Of topics that are made; 1 unless given.")
@pairs_option("--config", help="A setting of the topic, such as retention.ms=3600000; repeatable.")
@click.option("--from-latest", is_flag=True, help="Only what is sent from now on, where the topic is there already.")
@click.option("--lock", type=SECONDS, metavar="SECONDS", help="How long a message that is received is locked.")
@click.option("--max-deliveries", type=click.IntRange(min=0), metavar="N", help="Attempts; 0: without end.")
@click.option(
    "--counter", type=click.Choice(["deliveries", "failures"]), help="What --max-deliveries counts: deliveries first."
)
@click.option("--retry-delay", type=SECONDS, metavar="SECONDS", help="Rest after the first failure.")
@click.option("--retry-factor", type=click.FloatRange(min=1), metavar="X", help="Growth with each further failure.")
@click.option("--retry-delay-max", type=SECONDS, metavar="SECONDS", help="The longest rest.")
@click.option("--retry-jitter", type=click.FloatRange(0, 1), metavar="PART", help="Of the rest, taken off at random.")
@click.option("--dead-letter-topic", metavar="TOPIC", help="Where messages go that have failed for good.")
@click.option("--lapse-is-failure/--lapse-is-no-failure", default=None, help="Whether a lock that ends is a failure.")
@click.option("--max-unsettled", type=click.IntRange(min=1), metavar="N", help="Held or delayed in one partition.")
@click.option("--hold/--no-hold", default=None, help="Whether retention keeps what is not settled.")
@server_option
@json_option()
def declare(
    name: str,
    partitions: int | None,
    config: dict[str, str],
    from_latest: bool,
    server: str,
    as_json: bool,
    **policies: Any,
) -> None:
    """Make the queue NAME with its topic, or change the policies of one; those not given stay as they are."""
    given = {policy: value for policy, value in policies.items() if value is not None}
    with queues_of(server) as client:
        queue = client.declare(name, partitions=partitions or 0, settings=config, from_latest=from_latest, **given)
    if as_json:
        print_json(_document(queue))
    else:
        click.echo(f"Declared {name}: {_policy_text(queue)}.")


@queues.command()
@click.argument("name")
@server_option
@json_option()
def describe(name: str, server: str, as_json: bool) -> None:
    """Show where the messages of the queue NAME are, and its policies."""
    with queues_of(server) as client:
        queue = client.describe(name)
    if as_json:
        print_json(_document(queue))
    else:
        _print(queue)


@queues.command()
@click.argument("name")
@server_option
@json_option()
def delete(name: str, server: str, as_json: bool) -> None:
    """Forget the queue NAME: its policies, and what became of its messages. The topics stay."""
    with queues_of(server) as client:
        client.delete(name)
    if as_json:
        print_json({"name": name, "deleted": True})
    else:
        click.echo(f"Deleted {name}; its topic stays.")


@queues.command()
@click.argument("name")
@server_option
@json_option()
def purge(name: str, server: str, as_json: bool) -> None:
    """Settle everything that is ready in the queue NAME; what is held, delayed or moving stays."""
    with queues_of(server) as client:
        messages = client.purge(name)
    if as_json:
        print_json({"name": name, "messages": messages})
    else:
        click.echo(f"Purged {_messages_text(messages)} of {name}.")


@queues.command()
@click.argument("name")
@click.option("--to", "destination", default="", metavar="TOPIC", help="Where they go; back where they came from.")
@click.option("--key", metavar="KEY", help="Only messages with this key.")
@pairs_option("--header", help="Only messages with this header; repeatable.")
@click.option("--rate", type=SECONDS, default=0.0, metavar="N", help="At most so many messages a second.")
@click.option("--max", "most", type=click.IntRange(min=1), metavar="N", help="At most so many messages.")
@server_option
@json_option()
def redrive(
    name: str,
    destination: str,
    key: str | None,
    header: dict[str, str],
    rate: float,
    most: int | None,
    server: str,
    as_json: bool,
) -> None:
    """Send messages of the dead letters NAME back to where they came from, or those of any queue to a topic.

    \b
    What failed for want of an address, ten a second:
      logserver queues redrive mails.dead --header 'logserver.reason=no address' --rate 10

    It takes what is there now, and ends with the command: what was not moved by then stays.
    """
    moved = skipped = held = 0
    with queues_of(server) as client:
        for progress in client.redrive(
            name,
            destination=destination,
            key=None if key is None else key.encode(),
            headers=[(header_name, value.encode()) for header_name, value in header.items()],
            messages_per_second=rate,
            max_messages=most or 0,
        ):
            moved, skipped, held = progress.moved, progress.skipped, progress.held
            if not progress.done and not as_json:
                click.echo(f"{moved} moved, {skipped} left, {progress.remaining} to go", err=True)
    if as_json:
        print_json({"name": name, "moved": moved, "skipped": skipped, "held": held})
    else:
        click.echo(f"Moved {_messages_text(moved)} of {name}, left {skipped}.")
        if held:
            click.echo(f"{_messages_text(held)} stayed because somebody holds {'it' if held == 1 else 'them'} now.")


for command in (send, receive, peek, explain):
    queues.add_command(command)


def _messages_text(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def _print(queue: QueueDescription) -> None:
    kind = "queue" if queue.declared else f"share group {queue.group} on {queue.topic}"
    dead = "" if queue.dead_lettered is None else f", {queue.dead_lettered} in {queue.policy.dead_letter_topic}"
    click.echo(f"{queue.name}, {kind}, {queue.consumers} consuming, {_policy_text(queue)}")
    click.echo(f"{_counts_text(queue.counts)}{dead}")
    click.echo(
        f"Oldest that is ready: {age_text(queue.oldest_ready_ms)}; "
        f"first delivered of those in flight or delayed: {age_text(queue.oldest_first_delivery_ms)}\n"
    )
    print_table(
        ("PARTITION", "START OFFSET", "END OFFSET", "READY", "DELAYED", "IN FLIGHT", "MOVING", "STATE"),
        [
            (
                part.partition,
                part.start_offset,
                part.end_offset,
                part.counts.ready,
                part.counts.delayed,
                part.counts.in_flight,
                part.counts.moving,
                part.error.message if part.error is not None else part.move_refusal or "ok",
            )
            for part in queue.partitions
        ],
    )
    if queue.deliveries:
        click.echo()
        print_table(("DELIVERIES", "MESSAGES"), list(queue.deliveries.items()))


def _counts_text(counts: QueueCounts) -> str:
    return f"{counts.ready} ready, {counts.delayed} delayed, {counts.in_flight} in flight, {counts.moving} moving"


def _policy_text(queue: QueueDescription) -> str:
    policy = queue.policy
    attempts = (
        f"at most {policy.max_deliveries} {policy.counter}" if policy.max_deliveries else "any number of attempts"
    )
    rest = "no rest between them"
    if policy.retry_delay:
        rest = (
            f"{policy.retry_delay:g} s between them, times {policy.retry_factor:g}, up to {policy.retry_delay_max:g} s"
        )
    dead = f"then to {policy.dead_letter_topic}" if policy.dead_letter_topic else "no dead letters"
    return f"{attempts}, {rest}, {dead}, locks of {policy.lock:g} s"


def _document(queue: QueueDescription) -> dict[str, Any]:
    document = asdict(queue)
    document["partitions"] = [{**asdict(part), "error": error_document(part.error)} for part in queue.partitions]
    document["deliveries"] = {str(deliveries): messages for deliveries, messages in queue.deliveries.items()}
    return document
