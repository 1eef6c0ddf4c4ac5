"""What there is not: authorizer, authentication, delegation tokens; in the words of a Kafka without them."""

from typing import Any, Final

from logserver.errors import ErrorCode, LogServerError

ANONYMOUS: Final = {"principal_type": "User", "principal_name": "ANONYMOUS"}
"""Who everybody is."""
NEVER_MS: Final = -1


def no_authorizer() -> LogServerError:
    """Returns the error for whoever asks for ACLs."""
    return LogServerError(ErrorCode.security_disabled, "there is no authorizer on this server, so there are no ACLs")


def no_tokens() -> LogServerError:
    """Returns the error for whoever asks for delegation tokens, which only those get who have authenticated."""
    return LogServerError(
        ErrorCode.delegation_token_request_not_allowed, "delegation tokens need a connection that is authenticated"
    )


def no_sasl(listener: str) -> dict[str, Any]:
    """Returns the response fields for whoever tries to authenticate by SASL on a listener without it."""
    return {
        "error_code": ErrorCode.illegal_sasl_state.value,
        "error_message": f"the listener {listener} has no authentication; clients need security.protocol=PLAINTEXT",
    }
