"""Requests about groups: what they have in common."""

from collections.abc import Awaitable
from typing import TypeVar

from logserver.errors import ErrorCode, LogServerError

T = TypeVar("T")

STATES = {
    "empty": "Empty",
    "assigning": "Assigning",
    "reconciling": "Reconciling",
    "stable": "Stable",
    "preparing rebalance": "PreparingRebalance",
    "completing rebalance": "CompletingRebalance",
    "dead": "Dead",
}
"""Kafka's names of states."""
NO_OPERATIONS = -(1 << 31)
"""In place of authorized operations that nobody asked for."""
ALL_OPERATIONS = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11
"""What anybody may do with a group as long as there is no authorisation: read, delete, describe, and its settings."""


async def code_of(awaited: Awaitable[object]) -> int:
    """Returns the error code of what may fail."""
    try:
        await awaited
    except LogServerError as error:
        return error.code.value
    return ErrorCode.none.value
