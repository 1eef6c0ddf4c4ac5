"""What a call ends with, whatever its method raises."""

import asyncio
from typing import Any

import grpc
import pytest

from logserver.errors import ErrorCode, LogServerError
from logserver.grpc_api.errors import answered


class Aborted(Exception):
    pass


class Context:
    """A call that only ends."""

    async def abort(self, code: grpc.StatusCode, message: str, trailers: object) -> None:
        raise Aborted(code.name, message)


def refusal() -> LogServerError:
    return LogServerError(ErrorCode.invalid_request, "that makes no sense")


async def ends_with(error: Exception) -> Any:
    """Returns what a call is ended with whose method raises an error."""

    async def method(servicer: object, request: object, context: object) -> None:
        raise error

    with pytest.raises(Aborted) as ended:
        await answered(method)(None, None, Context())
    return ended.value.args


@pytest.mark.parametrize(
    "error",
    [
        refusal(),
        ExceptionGroup("", [refusal()]),
        ExceptionGroup("of a stream", [ExceptionGroup("of its tasks", [refusal(), refusal()])]),
        ExceptionGroup("the client went, too", [grpc.aio.UsageError("over"), refusal()]),
    ],
)
async def test_an_error_is_told_also_out_of_a_group(error: Exception) -> None:
    assert await ends_with(error) == ("INVALID_ARGUMENT", "that makes no sense")


@pytest.mark.parametrize("error", [KeyError("x"), ExceptionGroup("", [refusal(), KeyError("x")])])
async def test_a_fault_is_not_hidden_by_an_error_beside_it(error: Exception) -> None:
    assert await ends_with(error) == ("INTERNAL", "the server failed at this call; its log says more")


async def test_nobody_is_told_when_the_call_is_over() -> None:
    async def method(servicer: object, request: object, context: object) -> None:
        raise ExceptionGroup("", [grpc.aio.UsageError("over")])

    with pytest.raises(asyncio.CancelledError):
        await answered(method)(None, None, Context())
