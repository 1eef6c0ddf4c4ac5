"""Errors on the wire: a field where a part of a call failed, a status with google.rpc.ErrorInfo where all of it did."""

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
    """Ends a call with the status of an error."""
    info = ErrorInfo(
        reason=error.name,
        domain=_DOMAIN,
        metadata={"code": str(error.code.value), "retriable": "true" if error.retriable else "false"},
    )
    code = getattr(grpc.StatusCode, error.grpc_status)
    packed = AnyMessage()
    packed.Pack(info)
    details = Status(code=code.value[0], message=error.message, details=[packed])
    await context.abort(code, error.message, ((_DETAILS_KEY, details.SerializeToString()),))
    raise AssertionError("abort raises")


def answered(
    method: Callable[[Any, Request, Context], Awaitable[Response]],
) -> Callable[[Any, Request, Context], Awaitable[Response]]:
    """Makes a servicer method that may raise LogServerError end its call with the right status.

    Any other exception is a fault of ours: it is logged, and the caller learns no more than that.
    """

    @wraps(method)
    async def answering(servicer: Any, request: Request, context: Context) -> Response:
        try:
            return await method(servicer, request, context)
        except LogServerError as error:
            return await abort(context, error)
        except (grpc.aio.AbortError, grpc.aio.UsageError):
            raise
        except Exception:
            _log.exception("call failed", method=method.__name__)
            return await abort(
                context,
                LogServerError(ErrorCode.unknown_server_error, "the server failed at this call; its log says more"),
            )

    return answering
