"""What the tests of the short ways of requests share: the long way to compare them with, and damaged requests."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from logserver.kafka_api.codec import header_is_flexible
from logserver.kafka_api.routes import route

from .raw_client import RawClient

Change = tuple[int, int, int]
"""0 to write a byte, 1 to insert one, 2 to remove one; where; the byte."""


def header_size(api_key: int, version: int) -> int:
    """Returns where the message begins in a frame of `RawClient`."""
    return 4 + 8 + 2 + len("raw") + header_is_flexible(api_key, version)


@contextmanager
def long_way_only(api_key: int, version: int) -> Iterator[None]:
    """Takes the short way away meanwhile."""
    way = route(api_key, version)
    assert way is not None
    quick, way.quick = way.quick, None
    try:
        yield
    finally:
        way.quick = quick


def slowly(client: RawClient, api_key: int, version: int, frame: bytes) -> bytes:
    """Returns what the long way answers a frame."""
    with long_way_only(api_key, version):
        client.send_bytes(frame)
        found = client.receive_frame()
    return len(found).to_bytes(4) + found


def damage(frame: bytearray, start: int, changes: Iterable[Change]) -> None:
    """Changes bytes of a frame behind `start`, and its length with that."""
    for what, where, byte in changes:
        at = start + where % (len(frame) - start)
        if what == 0:
            frame[at] = byte
        elif what == 1:
            frame.insert(at, byte)
        else:
            del frame[at]
    frame[:4] = (len(frame) - 4).to_bytes(4)
