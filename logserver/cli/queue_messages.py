"""`logserver queues send | receive | peek`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from logserver.cli.failures import CommandFailed, talking_to
from logserver.cli.options import json_option, pairs_option, server_option
from logserver.cli.output import NOTHING, print_json, print_table
from logserver.cli.queue_text import message_document, time_text, value_text
from logserver.cli.records_in import LONGEST_LINE_BYTES

if TYPE_CHECKING:
    from logserver_client import Message, Queue

_MOST_AT_A_TIME: Final = 500


@click.command()
@click.argument("name")
@click.argument("values", nargs=-1, metavar="[VALUE]...")
@click.option("--key", metavar="KEY", help="Key of the messages.")
@pairs_option("--header", help="A header of the messages; repeatable.")
@server_option
@json_option()
def send(
    name: str, values: tuple[str, ...], key: str | None, header: dict[str, str], server: str, as_json: bool
) -> None:
    """Send VALUEs to the queue NAME, or each line of standard input without any; returns when they are durable."""
    from logserver_client import Queue, Queues

    headers = [(header_name, value.encode()) for header_name, value in header.items()]
    bodies = (value.encode() for value in values) if values else _lines(sys.stdin.buffer)
    sent = 0
    with talking_to(server):
        with Queues(server) as known:
            # A topic that is no queue would take the messages as well.
            known.describe(name)
        with Queue(server, name) as queue:
            for some in _pieces(bodies):
                keys = None if key is None else [key.encode()] * len(some)
                sent += len(queue.send_many(some, keys=keys, headers=headers).result())
    if as_json:
        print_json({"name": name, "messages": sent})
    else:
        click.echo(f"Sent {sent} {'message' if sent == 1 else 'messages'} to {name}.", err=True)


@click.command()
@click.argument("name")
@click.option("--max", "most", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="Messages.")
@click.option(
    "--wait", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="How long to wait for them in all."
)
@click.option(
    "--then",
    type=click.Choice(["ack", "nack", "release", "reject", "leave"]),
    default="ack",
    show_default=True,
    help="What becomes of them once they are printed; leave: they come back when their lock is over.",
)
@click.option("--reason", default="", metavar="TEXT", help="With --then nack or reject: for their stories.")
@click.option("--lock", type=click.FloatRange(min=0), metavar="SECONDS", help="How long they are locked.")
@server_option
@json_option("Print one JSON array, with the handle of each message.")
def receive(
    name: str, most: int, wait: float, then: str, reason: str, lock: float | None, server: str, as_json: bool
) -> None:
    """Print the values of messages of the queue NAME, and acknowledge them.

    A message is printed first and acknowledged then, so that none is lost. The exit code is 1 if there was none.
    """
    from logserver_client import Queue

    documents: list[dict[str, Any]] = []
    kept: list[list[Message]] = []
    received = 0
    with talking_to(server), Queue(server, name) as queue:
        for messages in _received(queue, most, wait, lock):
            received += len(messages)
            kept.append(messages)
            for message in messages:
                if as_json:
                    documents.append(_received_document(message))
                else:
                    click.echo(message.value or b"")
            if not as_json:
                sys.stdout.flush()
                _settle(queue, messages, then, reason)
        if as_json:
            print_json(documents)
            sys.stdout.flush()
            for messages in kept:
                _settle(queue, messages, then, reason)
    if not received:
        raise CommandFailed(f"There is no message for you in {name} now.")


@click.command()
@click.argument("name")
@click.option(
    "--max", "most", type=click.IntRange(1, 1_000), default=10, show_default=True, metavar="N", help="Messages."
)
@click.option("--state", type=click.Choice(["ready", "delayed", "held", "moving"]), help="Only in this state.")
@server_option
@json_option("Print one JSON array.")
def peek(name: str, most: int, state: Any, server: str, as_json: bool) -> None:
    """Show messages of the queue NAME that are not settled, without taking them."""
    from logserver_client import Queues

    with talking_to(server), Queues(server) as client:
        found = client.peek(name, most, state=state)
    if as_json:
        print_json(
            [
                {
                    **message_document(*_record(message)),
                    "state": message.state,
                    "deliveries": message.deliveries,
                    "failures": message.failures,
                    "until": message.until_ms,
                    "holder": message.holder,
                }
                for message in found
            ]
        )
    elif found:
        print_table(
            ("PARTITION", "OFFSET", "STATE", "DELIVERIES", "FAILURES", "UNTIL", "HOLDER", "VALUE"),
            [
                (
                    message.partition,
                    message.offset,
                    message.state,
                    message.deliveries,
                    message.failures,
                    time_text(message.until_ms),
                    message.holder or NOTHING,
                    value_text(message.value),
                )
                for message in found
            ],
        )
    else:
        click.echo("There are no such messages.", err=True)


def _received(queue: Queue, most: int, wait: float, lock: float | None) -> Iterator[list[Message]]:
    """Yields messages until there were `most`, or none come in time."""
    deadline_s = time.monotonic() + wait
    while most > 0:
        left_s = max(deadline_s - time.monotonic(), 0)
        messages = queue.receive(min(most, _MOST_AT_A_TIME), wait=left_s, lock=lock)
        if not messages:
            return
        most -= len(messages)
        yield messages


def _settle(queue: Queue, messages: list[Message], then: str, reason: str) -> None:
    match then:
        case "ack":
            queue.ack(messages, wait=True)
        case "nack":
            queue.nack(messages, reason=reason, wait=True)
        case "release":
            queue.release(messages, wait=True)
        case "reject":
            queue.reject(messages, reason, wait=True)


def _received_document(message: Message) -> dict[str, Any]:
    return {
        **message_document(*_record(message)),
        "deliveries": message.deliveries,
        "failures": message.failures,
        "redelivered": message.redelivered,
        "handle": message.handle,
    }


def _record(message: Any) -> tuple[Any, ...]:
    return message.partition, message.offset, message.timestamp_ms, message.key, message.value, message.headers


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(LONGEST_LINE_BYTES + 1):
        if len(line) > LONGEST_LINE_BYTES:
            raise CommandFailed(f"A line is longer than {LONGEST_LINE_BYTES} bytes.")
        yield line.rstrip(b"\r\n")


def _pieces(values: Iterator[bytes]) -> Iterator[list[bytes]]:
    piece: list[bytes] = []
    for value in values:
        piece.append(value)
        if len(piece) == _MOST_AT_A_TIME:
            yield piece
            piece = []
    if piece:
        yield piece
