"""What the bare client and the bare server agree on."""

import json
from typing import Any, Final, NamedTuple

TAKE: Final = "/benchmarks.Bare/Take"
"""The client sends messages, each is answered."""

GIVE: Final = "/benchmarks.Bare/Give"
"""The server sends messages, within the credit that the client gives."""

# A message of the log server may be larger than gRPC's default limit of 4 MiB, so this one's may be too.
OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
)

CREDIT_BYTES: Final = 8
"""A credit is one number of so many bytes, big endian."""


class Terms(NamedTuple):
    """The first message of a call: what is going to happen in it."""

    message_bytes: int
    messages: int
    answer_bytes: int = 1
    """Take: the size of an answer."""
    durable: bool = False
    """Take: answered once it is written to a file and flushed."""
    credit: int = 0
    """Give: how many bytes the client will allow at first; every message of its is credit, this much the first one."""

    def to_bytes(self) -> bytes:
        return json.dumps(self._asdict()).encode()

    @staticmethod
    def of(data: Any) -> "Terms":
        return Terms(**json.loads(data))
