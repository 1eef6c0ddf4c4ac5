"""DescribeUserScramCredentials (key 50), version 0.

Behavior: no user has credentials: RESOURCE_NOT_FOUND for each that is named.

Version notes: there is one version.

Source: KIP-554; Apache Kafka: `ScramImage.describe`.

Not done: SCRAM.
"""

from collections import Counter
from typing import Any, Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.errors import error_fields


def _handle(call: Call, request: Struct) -> Response:
    counts = Counter(user.name for user in request.users or ())
    return {"error_message": "", "results": [_result(user, count) for user, count in counts.items()]}


def _result(user: str, count: int) -> dict[str, Any]:
    if count > 1:
        error = LogServerError(ErrorCode.duplicate_resource, f"the request names the user {user!r} more than once")
    else:
        error = LogServerError(ErrorCode.resource_not_found, f"the user {user!r} has no SCRAM credentials")
    return {"user": user, **error_fields(error)}


API: Final = Api(50, "DescribeUserScramCredentials", 0, 0, handle=_handle)
