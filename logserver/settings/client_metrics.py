"""Settings of a subscription to clients' metrics (KIP-714): names, types, bounds and meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from logserver.settings.definition import About, Definition, definitions_of

CLIENT_MATCHES: Final = (
    "client_instance_id",
    "client_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
)
"""What a subscription can choose clients by."""


def match_patterns(text: str) -> Mapping[str, re.Pattern[str]]:
    """Reads the setting `match`: by what a client is chosen, and the pattern that all of it has to match.

    Raises:
        ValueError: it is none; the message says which part and why.
    """
    patterns = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, pattern = part.partition("=")
        if not separator or name.strip() not in CLIENT_MATCHES:
            raise ValueError(f"{part!r} is not one of {', '.join(CLIENT_MATCHES)} with = and a pattern")
        try:
            patterns[name.strip()] = re.compile(pattern.strip())
        except re.error as error:
            raise ValueError(f"{part!r} has a pattern that can't be read: {error}") from None
    return patterns


def _check_match(text: str) -> None:
    match_patterns(text)


class ClientMetricsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which clients send which of their metrics how often."""

    interval_ms: Annotated[
        int, About("How often clients send metrics, in milliseconds.", minimum=100, maximum=3_600_000)
    ] = 300_000
    match: Annotated[
        tuple[str, ...],
        About(
            "Which clients send: all of these patterns have to match; none means all clients.",
            check=_check_match,
            may_be_empty=True,
            example="client_software_name=apache-kafka-java,client_id=billing.*",
        ),
    ] = ()
    metrics: Annotated[
        tuple[str, ...],
        About(
            "Beginnings of the names of the metrics that clients send; * is all of them, none means that nothing is "
            "sent.",
            may_be_empty=True,
            example="org.apache.kafka.consumer.,org.apache.kafka.producer.",
        ),
    ] = ()


CLIENT_METRICS_DEFINITIONS: Final[dict[str, Definition]] = definitions_of(ClientMetricsSettings)
"""Every setting of a subscription by dotted name."""
