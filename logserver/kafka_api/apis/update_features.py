"""UpdateFeatures (key 57), versions 0 to 2.

Behavior: the levels of the features belong to this version of the server. Setting a feature to the level that it has is
fine; other levels, and features that are not known, are refused with INVALID_UPDATE_VERSION.

Version notes: 0 has no upgrade type, only whether a downgrade is allowed; 1 brought that and validate only (KIP-778); 2
leaves out the results of single features.

Source: KIP-584, KIP-778; Apache Kafka: `FeatureControlManager.updateFeature`.

Not done: levels other than the highest, such as group.version 0, which would take KIP-848 away from running clients.
"""

from typing import Final

from logserver.errors import ErrorCode, LogServerError
from logserver.kafka_api.api import Api, Call, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.features import FEATURES

_UPGRADE_TYPES: Final = (1, 2, 3)


def _handle(call: Call, request: Struct) -> Response:
    for update in request.feature_updates:
        problem = _problem(update)
        if problem is not None:
            # As Apache Kafka: all of them or none.
            raise LogServerError(ErrorCode.invalid_update_version, f"no feature is changed: {update.feature} {problem}")
    return {
        "error_message": None,
        "results": [{"feature": update.feature, "error_message": None} for update in request.feature_updates],
    }


def _problem(update: Struct) -> str | None:
    feature = FEATURES.get(update.feature)
    level = update.max_version_level
    if feature is None:
        return "is not a feature of this server"
    if update.upgrade_type not in _UPGRADE_TYPES:
        return f"can't be changed in the way {update.upgrade_type}, which is none"
    if not feature.lowest <= level <= feature.highest:
        return f"has the levels {feature.lowest} to {feature.highest}, not {level}"
    if level != feature.in_force:
        return f"is at level {feature.in_force} as long as this version of the server runs"
    return None


API: Final = Api(57, "UpdateFeatures", 0, 2, handle=_handle)
