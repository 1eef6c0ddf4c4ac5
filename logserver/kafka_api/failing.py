"""Requests that a test has fail, as a fault of their handlers; see `logserver.faults`."""

from collections.abc import Awaitable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from logserver.faults import Faults
from logserver.kafka_api.api import Answer, Api, Call, Cancel, Place, Response
from logserver.kafka_api.codec import Struct
from logserver.kafka_api.registry import APIS
from logserver.kafka_api.routes import Route

if TYPE_CHECKING:
    from logserver.kafka_api.connection import Connection

_SERVICE: Final = "Kafka"


class FailingRoutes:
    """Routes whose requests fail while a fault says so, and else go the way of the routes that they stand for."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._routes: dict[Route, Route] = {}
        for api in APIS.values():
            if api.raw is None or api.refuse is not None:
                faults.serves(_name(api))

    def of(self, route: Route) -> Route:
        """Returns what to serve in place of a route."""
        found = self._routes.get(route)
        if found is None:
            found = self._routes[route] = _FailingRoute(route, self._faults)
        return found


def _name(api: Api) -> str:
    return f"{_SERVICE}.{api.name}"


class _FailingRoute(Route):
    """One version of an API, perhaps failing."""

    __slots__ = ()

    def __init__(self, route: Route, faults: Faults) -> None:
        super().__init__(_failing(route.api, faults), route.version)
        name, quick = _name(route.api), route.quick
        if quick is None:
            return

        def quick_unless_due(
            connection: "Connection", correlation_id: int, data: bytearray, begin: int, end: int, /
        ) -> bytes | Place | None:
            return None if faults.is_due(name) else quick(connection, correlation_id, data, begin, end)

        self.quick = quick_unless_due


def _failing(api: Api, faults: Faults) -> Api:
    name = _name(api)
    handle, raw, refuse = api.handle, api.raw, api.refuse
    if raw is not None:
        if refuse is None:
            return api

        def handle_raw(call: Call, body: memoryview, answer: Answer) -> Cancel | None:
            error = faults.take(name)
            return raw(call, body, answer) if error is None else refuse(error)(call, body, answer)

        return replace(api, raw=handle_raw)
    assert handle is not None

    def handle_read(call: Call, request: Struct) -> Response | Awaitable[Response]:
        error = faults.take(name)
        if error is not None:
            raise error
        return handle(call, request)

    return replace(api, handle=handle_read)
