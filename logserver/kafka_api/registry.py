"""The APIs that are served: every module of `apis/` has one or more."""

import importlib
import pkgutil
from typing import Final

from logserver.kafka_api import apis
from logserver.kafka_api.api import Api

API_VERSIONS: Final = 18


def _found() -> dict[int, Api]:
    found: dict[int, Api] = {}
    for module in pkgutil.iter_modules(apis.__path__, f"{apis.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Api):
                assert value.key not in found, value
                found[value.key] = value
    return dict(sorted(found.items()))


APIS: Final = _found()
"""By API key."""
