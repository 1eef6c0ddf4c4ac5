"""ApiVersions (key 18), versions 0 to 4.

Behavior: answers which APIs are served in which versions, computed from the modules beside this one, and the features
that clients choose protocols by: `group.version` 1 says that consumer groups of KIP-848 are served.

Version notes: a version above the highest is answered in version 0 with UNSUPPORTED_VERSION, which makes the client ask
again (KIP-511). Version 3 brings tagged fields and the client's software name. Version 4 sends features whose lowest
version is 0 (KIP-848's were the first).

Source: KIP-35, KIP-511, KIP-584; Apache Kafka: `ApiVersionsRequest`, `DefaultApiVersionManager`.

Not done: nothing.
"""

import re
from typing import Final

from logserver.errors import ErrorCode
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct

FEATURES: Final = (("group.version", 0, 1), ("metadata.version", 7, 30))
"""Name, lowest and highest level. Levels that are in force are the highest ones."""
_NAME: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


def _api_keys() -> list[Response]:
    from logserver.kafka_api.registry import APIS

    return [
        {
            "api_key": api.key,
            "min_version": api.lowest if api.advertised_lowest is None else api.advertised_lowest,
            "max_version": api.highest,
        }
        for api in APIS.values()
    ]


def _handle(call: Call, request: Struct) -> Response:
    if call.version >= 3 and not (
        _NAME.fullmatch(request.client_software_name) and _NAME.fullmatch(request.client_software_version)
    ):
        return _failed(request, ErrorCode.invalid_request.value, "")
    return {
        "api_keys": _api_keys(),
        "supported_features": [
            {"name": name, "min_version": lowest, "max_version": highest}
            for name, lowest, highest in FEATURES
            # KAFKA-17011: clients before version 4 take a lowest level of 0 for an error.
            if lowest > 0 or call.version >= 4
        ],
        "finalized_features_epoch": 0,
        "finalized_features": [
            {"name": name, "max_version_level": highest, "min_version_level": highest} for name, _, highest in FEATURES
        ],
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    return {"error_code": code, "api_keys": [{"api_key": 18, "min_version": 0, "max_version": API.highest}]}


API: Final = Api(18, "ApiVersions", 0, 4, handle=_handle, failed=_failed)
