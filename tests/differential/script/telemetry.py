"""Metrics of clients (KIP-714), which neither server collects unless it is told where to."""

from ..keys import Key
from ..session import Session

_CLIENT = "AAAAAAAAAAAAAAAAAAAAZw"


def telemetry(s: Session) -> None:
    """Subscriptions and pushes."""
    for label, client in (("no id", "A" * 22), ("an id", _CLIENT), ("it again", _CLIENT)):
        s.ask(f"subscriptions: {label}", Key.GET_TELEMETRY_SUBSCRIPTIONS, 0, {"client_instance_id": client})
    for label, client, more in (
        ("no id", "A" * 22, {}),
        ("an id", _CLIENT, {}),
        ("a wrong subscription", _CLIENT, {"subscription_id": 99}),
        ("a wrong compression", _CLIENT, {"compression_type": 9}),
        ("the end", _CLIENT, {"terminating": True}),
        ("behind the end", _CLIENT, {"terminating": True}),
    ):
        s.ask(f"push: {label}", Key.PUSH_TELEMETRY, 0, {"client_instance_id": client, "metrics": b"", **more})
