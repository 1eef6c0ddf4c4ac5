"""Topics of a benchmark, made and looked after by plain calls of the generated code."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

import grpc
from logserverpb.v1 import admin_pb2, admin_pb2_grpc

_TIMEOUT_S: Final = 60


class Topics:
    """The `Admin` service of one server."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),))
        self._admin: Any = admin_pb2_grpc.AdminStub(self._channel)  # type: ignore[no-untyped-call]

    def create(self, name: str, partitions: int, settings: Mapping[str, str] | None = None) -> None:
        """Creates a topic."""
        request = admin_pb2.CreateTopicRequest(name=name, partitions=partitions, settings=settings or {})
        self._admin.CreateTopic(request, timeout=_TIMEOUT_S)

    def alter(self, name: str, settings: Mapping[str, str]) -> None:
        """Changes settings of a topic."""
        self._admin.AlterTopic(admin_pb2.AlterTopicRequest(name=name, set=settings), timeout=_TIMEOUT_S)

    def delete(self, name: str) -> None:
        """Deletes a topic."""
        self._admin.DeleteTopic(admin_pb2.DeleteTopicRequest(name=name), timeout=_TIMEOUT_S)

    def records(self, name: str) -> int:
        """Returns how many records of a topic are acknowledged."""
        answer = self._admin.DescribeTopic(admin_pb2.DescribeTopicRequest(name=name), timeout=_TIMEOUT_S)
        return sum(partition.high_watermark - partition.log_start_offset for partition in answer.topic.partitions)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> "Topics":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
