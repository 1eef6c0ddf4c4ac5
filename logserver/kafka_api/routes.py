"""What is to be known of a request's API and version before its message is read."""

from typing import Final

from logserver.kafka_api.api import Api
from logserver.kafka_api.codec import header_is_flexible, response_header_is_flexible
from logserver.kafka_api.registry import APIS


class Route:
    """One version of an API."""

    __slots__ = ("api", "has_tags", "quick", "response_has_tags", "version")

    def __init__(self, api: Api, version: int) -> None:
        self.api = api
        self.version = version
        self.has_tags = header_is_flexible(api.key, version)
        """Whether tagged fields stand between the request's header and its message."""
        self.response_has_tags = response_header_is_flexible(api.key, version)
        self.quick = api.quick(version) if api.quick is not None else None


# By API key and version; made when they are first asked for, because that imports the message's schema.
_routes: Final[dict[tuple[int, int], Route]] = {}


def route(api_key: int, version: int) -> Route | None:
    """Returns how to serve a version of an API; None if it is not served."""
    try:
        return _routes[api_key, version]
    except KeyError:
        api = APIS.get(api_key)
        if api is None or not api.lowest <= version <= api.highest:
            return None
        found = _routes[api_key, version] = Route(api, version)
        return found
