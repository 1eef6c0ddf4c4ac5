"""The failure of a whole call as one of our errors."""

from collections.abc import Iterable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from logserverpb.v1 import common_pb2, status_pb2

from logserver_client.errors import (
    UNKNOWN,
    LogServerError,
    connection_failed,
    error_for,
    message_too_large,
    request_timed_out,
)

_DETAILS_KEY: Final = "grpc-status-details-bin"
_ERROR_INFO: Final = "/google.rpc.ErrorInfo"
_DOMAIN: Final = "logserver"
_LARGER: Final = "larger than max"
"""In the details of gRPC's own refusal of a message; the status alone also means too many calls."""

_RETRIABLE: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
"""Statuses without our details after which a new connection may help: the server went away or broke off."""


def error_from_call(error: grpc.aio.AioRpcError, address: str) -> LogServerError:
    """Returns the error that the server put into the call's details, or one for the bare status."""
    found = _from_details(error)
    if found is not None:
        return found
    status = error.code()
    details = error.details() or ""
    if status is grpc.StatusCode.UNAVAILABLE:
        return connection_failed(f"no log server answers at {address}: {details}")
    if status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return request_timed_out(f"{address} did not answer in time: {details}")
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED and _LARGER in details:
        return message_too_large(f"{address}: {details}; the server's setting is grpc.max.message.bytes")
    return LogServerError(UNKNOWN, status.name, f"{address}: {details}", status in _RETRIABLE)


def error_from_message(error: common_pb2.Error) -> LogServerError:
    """Returns the error of a part of a call, e.g. of one partition."""
    return error_for(error.code, error.name, error.message, error.retriable)


def _from_details(error: grpc.aio.AioRpcError) -> LogServerError | None:
    for key, value in _items(error.trailing_metadata()):
        if key != _DETAILS_KEY:
            continue
        try:
            status = status_pb2.RpcStatus.FromString(value)
            for detail in status.details:
                if detail.type_url.endswith(_ERROR_INFO):
                    info = status_pb2.RpcErrorInfo.FromString(detail.value)
                    if info.domain == _DOMAIN:
                        return _from_info(info, status.message or error.details() or "")
        except DecodeError:
            # Details of somebody between us and the server; the status itself says enough.
            return None
    return None


def _from_info(info: status_pb2.RpcErrorInfo, message: str) -> LogServerError:
    code = info.metadata.get("code", "")
    number = int(code) if code.lstrip("-").isdigit() else UNKNOWN
    return error_for(number, info.reason, message, info.metadata.get("retriable", "") == "true")


def _items(metadata: Any) -> Iterable[tuple[str, Any]]:
    return metadata if metadata is not None else ()
