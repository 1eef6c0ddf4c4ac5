"""Records put into every partition of many, over plain calls of the generated code."""

import os
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final

import grpc
from logserver_records import build_batch
from logserverpb.v1 import log_pb2, log_pb2_grpc

_REQUEST_BYTES: Final = 4 << 20
_RECORD_BYTES: Final = 1024
_TIMEOUT_S: Final = 120


class Filler:
    """The `Log` service of one server."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),))
        self._log: Any = log_pb2_grpc.LogStub(self._channel)  # type: ignore[no-untyped-call]

    def fill(self, partitions: Iterable[tuple[str, int]], bytes_each: int) -> None:
        """Appends one record batch of about so many bytes to each partition and waits until all are durable."""
        now_ms = time.time_ns() // 1_000_000
        records = [(now_ms, None, os.urandom(_RECORD_BYTES), ()) for _ in range(max(bytes_each // _RECORD_BYTES, 1))]
        batch = build_batch(records)
        most = max(_REQUEST_BYTES // len(batch), 1)
        pending = list(partitions)
        while pending:
            part, pending = pending[:most], pending[most:]
            request = log_pb2.ProduceRequest(
                partitions=[log_pb2.ProducePartition(topic=name, partition=p, batches=batch) for name, p in part]
            )
            for result in self._log.Produce(request, timeout=_TIMEOUT_S).results:
                if result.HasField("error"):
                    raise RuntimeError(f"{result.topic}-{result.partition}: {result.error.message}")

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> "Filler":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
