"""What quotas of clients are about (KIP-546); there are none so far."""

from typing import Final

from logserver.errors import ErrorCode, LogServerError

_USER: Final = "user"
_CLIENT_ID: Final = "client-id"
_IP: Final = "ip"


def check_entity(types: list[str], what: str, unknown: ErrorCode) -> None:
    """Checks what a quota is to be about.

    Raises:
        LogServerError: INVALID_REQUEST, or `unknown` for what no quota can be about.
    """
    for kind in types:
        if not kind:
            raise LogServerError(ErrorCode.invalid_request, f"{what} has an empty entity type")
        if kind not in (_USER, _CLIENT_ID, _IP):
            raise LogServerError(unknown, f"{what} names {kind[:60]!r}; quotas are about user, client-id or ip")
    if len(set(types)) < len(types):
        raise LogServerError(ErrorCode.invalid_request, f"{what} names an entity type more than once")
    if _IP in types and len(types) > 1:
        raise LogServerError(ErrorCode.invalid_request, f"{what} puts ip together with {_USER} or {_CLIENT_ID}")
