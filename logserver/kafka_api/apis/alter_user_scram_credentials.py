"""AlterUserScramCredentials (key 51), version 0.

Behavior: no user has credentials to delete (RESOURCE_NOT_FOUND), and none can be given, for no listener would ask for
them (UNSUPPORTED_SASL_MECHANISM).

Version notes: there is one version.

Source: KIP-554; Apache Kafka: `ScramControlManager.alterCredentials`.

Not done: SCRAM.
"""

from typing import Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.errors import error_fields

_MECHANISMS: Final = (1, 2)
"""SCRAM-SHA-256 and SCRAM-SHA-512."""


def _handle(call: Call, request: Struct) -> Response:
    errors: dict[str, LogServerError] = {}
    for deletion in request.deletions:
        error = _refused(deletion) or LogServerError(
            ErrorCode.resource_not_found, f"the user {deletion.name!r} has no SCRAM credentials"
        )
        errors.setdefault(deletion.name, error)
    for upsertion in request.upsertions:
        error = _refused(upsertion) or LogServerError(
            ErrorCode.unsupported_sasl_mechanism, "no listener of this server has authentication"
        )
        errors.setdefault(upsertion.name, error)
    return {"results": [{"user": user, **error_fields(error)} for user, error in errors.items()]}


def _refused(change: Struct) -> LogServerError | None:
    if not change.name:
        return LogServerError(ErrorCode.unacceptable_credential, "the name of the user is empty")
    if change.mechanism not in _MECHANISMS:
        return LogServerError(ErrorCode.unsupported_sasl_mechanism, f"there is no mechanism {change.mechanism}")
    return None


def _failed(request: Struct, code: int, message: str) -> Response:
    users = dict.fromkeys(change.name for change in (*request.deletions, *request.upsertions))
    return {"results": [{"user": user, "error_code": code, "error_message": message} for user in users]}


API: Final = Api(51, "AlterUserScramCredentials", 0, 0, handle=_handle, failed=_failed)
