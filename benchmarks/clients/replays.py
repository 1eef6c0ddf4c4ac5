"""Worker process: readers that go through a topic again and again, each on a connection of its own."""

import threading
from typing import Any

import grpc
from logserverpb.v1 import log_pb2, log_pb2_grpc

from benchmarks.support.worker import tell, work

_TIMEOUT_S = 600


class _Reader:
    def __init__(self, address: str, topic: str, partition: int, fetch_bytes: int) -> None:
        self.fetches = 0
        self.bytes = 0
        self._ended = threading.Event()
        self._channel = grpc.insecure_channel(
            address, options=(("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
        )
        self._log: Any = log_pb2_grpc.LogStub(self._channel)  # type: ignore[no-untyped-call]
        self._target = log_pb2.FetchPartition(topic=topic, partition=partition, max_bytes=fetch_bytes)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            request = log_pb2.FetchRequest(partitions=[self._target])
            (data,) = self._log.Fetch(request, timeout=_TIMEOUT_S).partitions
            if data.HasField("error"):
                raise RuntimeError(data.error.message)
            self.fetches += 1
            self.bytes += len(data.batches)
            self._target.offset = data.next_offset if data.batches else 0

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        self._channel.close()


def replay(address: str, topic: str, readers: int, partitions: int, fetch_bytes: int) -> dict[str, int]:
    """Reads until a line comes; says when all have begun, and then how much they have read."""
    running = [_Reader(address, topic, number % partitions, fetch_bytes) for number in range(readers)]
    while not all(reader.fetches for reader in running):
        threading.Event().wait(0.01)
    before = sum(reader.fetches for reader in running), sum(reader.bytes for reader in running)
    tell("reading")
    input()
    after = sum(reader.fetches for reader in running), sum(reader.bytes for reader in running)
    for reader in running:
        reader.end()
    return {"fetches": after[0] - before[0], "bytes": after[1] - before[1]}


if __name__ == "__main__":
    work({"replay": replay})
