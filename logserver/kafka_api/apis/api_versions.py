"""ApiVersions (key 18), versions 0 to 4.

Behavior: answers which APIs are served in which versions, computed from the modules beside this one, and the features
that clients choose protocols by: `group.version` 1 says that consumer groups of KIP-848 are served. The APIs of
clients' metrics (KIP-714) are named only where metrics have somewhere to go (`client.metrics.topic`).

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
from logserver.kafka_api.features import EPOCH, FEATURES

_OF_METRICS: Final = (71, 72)
_NAME: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


def _api_keys(has_metrics: bool) -> list[Response]:
    from logserver.kafka_api.registry import APIS

    return [
        {
            "api_key": api.key,
            "min_version": api.lowest if api.advertised_lowest is None else api.advertised_lowest,
            "max_version": api.highest,
        }
        for api in APIS.values()
        if has_metrics or api.key not in _OF_METRICS
    ]


def _handle(call: Call, request: Struct) -> Response:
    if call.version >= 3 and not (
        _NAME.fullmatch(request.client_software_name) and _NAME.fullmatch(request.client_software_version)
    ):
        return {"error_code": ErrorCode.invalid_request.value}
    if call.version >= 3:
        call.client.software_name = request.client_software_name
        call.client.software_version = request.client_software_version
    return {
        "api_keys": _api_keys(call.services.settings.client_metrics_topic is not None),
        "supported_features": [
            {"name": name, "min_version": feature.lowest, "max_version": feature.highest}
            for name, feature in FEATURES.items()
            # KAFKA-17011: clients before version 4 take a lowest level of 0 for an error.
            if feature.lowest > 0 or call.version >= 4
        ],
        "finalized_features_epoch": EPOCH,
        "finalized_features": [
            {"name": name, "max_version_level": feature.in_force, "min_version_level": feature.in_force}
            for name, feature in FEATURES.items()
        ],
    }


def _failed(request: Struct, code: int, message: str) -> Response:
    return {"error_code": code, "api_keys": [{"api_key": 18, "min_version": 0, "max_version": API.highest}]}


API: Final = Api(18, "ApiVersions", 0, 4, handle=_handle, failed=_failed)
