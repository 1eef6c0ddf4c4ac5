"""The failure of a whole call as one of our errors."""

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from logserver_client import ConnectionFailed, InvalidConfig, LogServerError, MessageTooLarge, RequestTimedOut
from logserver_client._transport.status import error_from_call


def call_error(code: grpc.StatusCode, text: str = "", details: bytes | None = None) -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata(("other", "x"))
    if details is not None:
        trailing.add("grpc-status-details-bin", details)
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, text, None)


def packed(message: str, *details: ErrorInfo | RetryInfo) -> bytes:
    status = Status(code=3, message=message)
    for detail in details:
        status.details.append(AnyMessage())
        status.details[-1].Pack(detail)
    return bytes(status.SerializeToString())


def test_the_servers_details_give_code_name_message_and_class() -> None:
    info = ErrorInfo(domain="logserver", reason="INVALID_CONFIG", metadata={"code": "40", "retriable": "false"})
    details = packed("no such setting", RetryInfo(), info)
    error = error_from_call(call_error(grpc.StatusCode.INVALID_ARGUMENT, "text", details), "host:1")
    assert type(error) is InvalidConfig
    assert (error.code, error.name, error.message, error.retriable) == (40, "INVALID_CONFIG", "no such setting", False)
    assert str(error) == "no such setting (INVALID_CONFIG)"


def test_a_name_without_a_class_of_its_own_is_the_base_class() -> None:
    info = ErrorInfo(domain="logserver", reason="NOT_CONTROLLER", metadata={"code": "41", "retriable": "true"})
    error = error_from_call(call_error(grpc.StatusCode.UNAVAILABLE, "", packed("ask another", info)), "host:1")
    assert type(error) is LogServerError
    assert error.retriable and error.code == 41


@pytest.mark.parametrize(
    "details",
    [None, b"\xff\xff\xff", packed("x"), packed("x", ErrorInfo(domain="somebody.else", reason="INVALID_CONFIG"))],
)
def test_without_details_of_ours_the_status_decides(details: bytes | None) -> None:
    error = error_from_call(call_error(grpc.StatusCode.UNAVAILABLE, "refused", details), "host:1")
    assert type(error) is ConnectionFailed
    assert error.retriable
    assert "host:1" in error.message and "refused" in error.message


def test_a_deadline_is_a_timeout() -> None:
    assert type(error_from_call(call_error(grpc.StatusCode.DEADLINE_EXCEEDED), "host:1")) is RequestTimedOut


def test_grpcs_own_limit_is_told_from_other_exhausted_resources() -> None:
    too_large = call_error(grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max (70000 vs. 65536)")
    error = error_from_call(too_large, "host:1")
    assert type(error) is MessageTooLarge
    assert "70000" in error.message and "grpc.max.message.bytes" in error.message
    too_many = call_error(grpc.StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")
    assert error_from_call(too_many, "host:1").retriable


@pytest.mark.parametrize(
    ("status", "retriable"),
    [
        (grpc.StatusCode.INTERNAL, True),
        (grpc.StatusCode.UNIMPLEMENTED, False),
        (grpc.StatusCode.UNAUTHENTICATED, False),
    ],
)
def test_a_bare_status_is_retriable_where_a_new_connection_may_help(status: grpc.StatusCode, retriable: bool) -> None:
    error = error_from_call(call_error(status), "host:1")
    assert (error.name, error.retriable) == (status.name, retriable)
