"""The embedded protocol of consumers: what they tell each other inside JoinGroup and SyncGroup, as far as a coordinator
looks at it.

Source: Apache Kafka: `ConsumerProtocol`, `ConsumerProtocolSubscription`; every version begins as version 0 does.
"""

from collections.abc import Sequence
from struct import Struct, error
from typing import Final

CONSUMER: Final = "consumer"
"""The protocol type of groups of consumers."""

_VERSION_AND_COUNT: Final = Struct(">hi")
_LENGTH: Final = Struct(">h")


def topics_of(subscription: bytes) -> Sequence[str] | None:
    """Returns the topics that a consumer's metadata subscribes to; None if it is not a consumer's metadata."""
    try:
        version, count = _VERSION_AND_COUNT.unpack_from(subscription)
        position = _VERSION_AND_COUNT.size
        # Each name has a length: no more of them than the rest could hold.
        if version < 0 or not 0 <= count <= (len(subscription) - position) // _LENGTH.size:
            return None
        topics = []
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(subscription, position)
            position += _LENGTH.size
            if not 0 <= length <= len(subscription) - position:
                return None
            topics.append(subscription[position : position + length].decode())
            position += length
    except (error, UnicodeDecodeError):
        return None
    return topics
