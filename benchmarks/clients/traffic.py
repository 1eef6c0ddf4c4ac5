"""What the bundled client really puts on its streams, seen from inside of its process by the public API of gRPC alone.

The bare stream then carries as many messages of the same mean size, with as many of them unanswered at a time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc

from benchmarks.support.usage import Traffic

_STREAMS: Final = ("/logserver.v1.Log/ProduceStream", "/logserver.v1.Log/Subscribe")


class _Channel:
    """A channel whose streams are counted."""

    def __init__(self, channel: Any, traffic: Traffic) -> None:
        self._channel = channel
        self._traffic = traffic

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def stream_stream(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        **more: Any,
    ) -> Any:
        traffic = self._traffic

        def serialize(message: Any) -> bytes:
            data = request_serializer(message)
            traffic.sent += 1
            traffic.sent_bytes += len(data)
            traffic.unanswered += 1
            traffic.unanswered_most = max(traffic.unanswered_most, traffic.unanswered)
            return data

        def deserialize(data: bytes) -> Any:
            message = response_deserializer(data)
            traffic.received += 1
            traffic.received_bytes += len(data)
            traffic.unanswered -= len(getattr(message, "acknowledgements", ()))
            return message

        if method in _STREAMS:
            return self._channel.stream_stream(method, serialize, deserialize, **more)
        return self._channel.stream_stream(method, request_serializer, response_deserializer, **more)


@contextmanager
def watched() -> Iterator[Traffic]:
    """Counts the streams of channels that are made inside."""
    traffic = Traffic()
    make = grpc.aio.insecure_channel

    def watch(*arguments: Any, **options: Any) -> Any:
        return _Channel(make(*arguments, **options), traffic)

    grpc.aio.insecure_channel = watch
    try:
        yield traffic
    finally:
        grpc.aio.insecure_channel = make
