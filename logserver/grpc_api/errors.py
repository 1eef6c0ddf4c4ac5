"""Errors on the wire: a field where a part of a call failed, a status with google.rpc.ErrorInfo where all of it did."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final, NoReturn, TypeVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from logserver_segments.logs import get_logger
from logserverpb.v1 import common_pb2

from logserver.errors import ErrorCode, LogServerError

_DOMAIN: Final = "logserver"
_DETAILS_KEY: Final = "grpc-status-details-bin"

_log = get_logger("logserver.grpc")

Request = TypeVar("Request")
Response = TypeVar("Response")
Context = Any
"""grpc.aio.ServicerContext; a simulation passes its own."""

_MOST_MESSAGE_BYTES: Final = 1000
"""Of a message in a call's status. It travels in HTTP/2 trailers, percent-encoded, and clients take 8 KiB of those: of
a longer one, such as one that repeats a name of 100 KB, they would see only that the trailers are too long."""


class Malformed:
    """In place of a request that could not be read."""

    def __init__(self, error: LogServerError) -> None:
        self.error = error


def _shortened(message: str) -> str:
    encoded = message.encode("utf-8", "replace")
    if len(encoded) <= _MOST_MESSAGE_BYTES:
        return message
    half = _MOST_MESSAGE_BYTES // 2
    return f"{encoded[:half].decode('utf-8', 'ignore')} ... {encoded[-half:].decode('utf-8', 'ignore')}"


def to_error(error: LogServerError) -> common_pb2.Error:
    """Returns the field for a part of a call that failed."""
    message = common_pb2.Error(code=error.code.value, name=error.name, message=error.message, retriable=error.retriable)
    if error.leader is not None:
        message.leader.CopyFrom(
            common_pb2.Leader(
                node_id=error.leader.node_id,
                leader_epoch=error.leader.leader_epoch,
                grpc_endpoint=error.leader.grpc_endpoint,
            )
        )
    return message


async def abort(context: Context, error: LogServerError) -> NoReturn:
    """Ends a call with the status of an error; a very long message is shortened in the middle."""
    message = _shortened(error.message)
    info = ErrorInfo(
        reason=error.name,
        domain=_DOMAIN,
        metadata={"code": str(error.code.value), "retriable": "true" if error.retriable else "false"},
    )
    code = getattr(grpc.StatusCode, error.grpc_status)
    packed = AnyMessage()
    packed.Pack(info)
    details = Status(code=code.value[0], message=message, details=[packed])
    try:
        await context.abort(code, message, ((_DETAILS_KEY, details.SerializeToString()),))
    except (grpc.aio.InternalError, grpc.aio.UsageError):
        # The client is gone, or the server's time is up while a message waits for it: there is nobody to tell.
        raise asyncio.CancelledError from None
    raise AssertionError("abort raises")


def _is_over(error: Exception) -> bool:
    """Whether this is all that writing to a call raises when the call is over."""
    if isinstance(error, ExceptionGroup):
        return all(map(_is_over, error.exceptions))
    return isinstance(error, (grpc.aio.InternalError, grpc.aio.UsageError))


def _told(error: Exception) -> LogServerError | None:
    """Returns the error that ends a call, also where a task group has put it into a group; None if it is no such error.

    Streams don't take it out by `except*`: with Python 3.11.2, Debian 12's, what is raised there is a group once more.
    """
    if isinstance(error, ExceptionGroup):
        found = [_told(one) for one in error.exceptions if not _is_over(one)]
        return found[0] if found and all(found) else None
    return error if isinstance(error, LogServerError) else None


def answered(
    method: Callable[[Any, Request, Context], Awaitable[Response]],
) -> Callable[[Any, Request, Context], Awaitable[Response]]:
    """Makes a servicer method that may raise LogServerError end its call with the right status.

    Any other exception is a fault of ours: it is logged, and the caller learns no more than that.
    """

    @wraps(method)
    async def answering(servicer: Any, request: Request, context: Context) -> Response:
        try:
            if isinstance(request, Malformed):
                raise request.error
            return await method(servicer, request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            told = _told(error)
            if told is not None:
                return await abort(context, told)
            if _is_over(error):
                # The client went away while something was being written to it; there is nobody to tell.
                _log.debug("call ended by the client", method=method.__name__)
                raise asyncio.CancelledError from None
            _log.exception("call failed", method=method.__name__)
            return await abort(
                context,
                LogServerError(ErrorCode.unknown_server_error, "the server failed at this call; its log says more"),
            )

    return answering
