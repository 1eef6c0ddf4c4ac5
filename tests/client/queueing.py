"""Queues of names of their own for tests."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from logserver_client import Queue, QueueDescription, Queues

_numbers = count()

NewQueue = Callable[..., str]


@pytest.fixture
def new_queue(address: str) -> NewQueue:
    """Declares a queue of a name of its own: `new_queue(partitions, **policies)`."""

    def declare(partitions: int = 1, **policies: Any) -> str:
        name = f"queue-{next(_numbers)}"
        with Queues(address) as queues:
            queues.declare(name, partitions=partitions, **policies)
        return name

    return declare


@pytest.fixture
def queue(address: str, new_queue: NewQueue) -> Iterator[Queue]:
    """A queue with one partition."""
    with Queue(address, new_queue(), linger_ms=0) as opened:
        yield opened


@pytest.fixture
def describe(address: str) -> Callable[[str], QueueDescription]:
    """Describes a queue."""

    def described(name: str) -> QueueDescription:
        with Queues(address) as queues:
            return queues.describe(name)

    return described
