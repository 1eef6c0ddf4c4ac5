"""Errors in responses."""

from typing import Any

from logserver.errors import LogServerError


def error_fields(error: LogServerError) -> dict[str, Any]:
    """Returns `error_code` and `error_message` of an error."""
    return {"error_code": error.code.value, "error_message": error.message}


def leader_of(error: LogServerError) -> dict[str, Any]:
    """Returns the tagged field `current_leader` where an error knows who leads (KIP-951)."""
    if error.leader is None:
        return {}
    return {"current_leader": {"leader_id": error.leader.node_id, "leader_epoch": error.leader.leader_epoch}}


def without_trace(error: LogServerError) -> LogServerError:
    """Returns an error that is to be kept, without the frames that it has come through.

    They would hold the request with its records, and these the error, until the garbage collector comes.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error
