"""What the bundled client really puts on its streams, seen from inside of its process by the public API of gRPC alone.

The bare stream then carries as many messages of the same mean size, with as many of them unanswered at a time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from logserverpb.v1 import log_pb2

from benchmarks.support.usage import Traffic

_PRODUCE: Final = "/logserver.v1.Log/ProduceStream"
_SUBSCRIBE: Final = "/logserver.v1.Log/Subscribe"


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
        request_serializer: Callable[[Any], bytes] | None = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        **more: Any,
    ) -> Any:
        traffic = self._traffic

        def serialize(message: Any) -> bytes:
            data: bytes = message if request_serializer is None else request_serializer(message)
            traffic.sent += 1
            traffic.sent_bytes += len(data)
            traffic.unanswered += 1
            traffic.unanswered_most = max(traffic.unanswered_most, traffic.unanswered)
            return data

        def deserialize(data: bytes) -> Any:
            traffic.received += 1
            traffic.received_bytes += len(data)
            if method == _PRODUCE:
                traffic.unanswered -= len(log_pb2.ProduceStreamResponse.FromString(data).acknowledgements)
            return data if response_deserializer is None else response_deserializer(data)

        if method in (_PRODUCE, _SUBSCRIBE):
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
