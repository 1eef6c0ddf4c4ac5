"""The same requests, asked of both servers one after the other."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .kafka_process import KafkaProcess
from .maven import jars
from .normal import Normalizer
from .our_process import OurProcess
from .script.parts import PARTS
from .session import Exchange, Session

_TWO_HOURS_MS: Final = 7_200_000
# Both servers have these; what else differs in their settings shows.
_SETTINGS: Final = {
    "num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "1",
    "auto.create.topics.enable": "true",
}
_KAFKA_SETTINGS: Final = {
    # Sessions as short as a test wants them; here they may be as short anyway.
    "group.consumer.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "100",
}


@dataclass(frozen=True, slots=True)
class Replayed:
    """The exchanges with both servers, made comparable."""

    kafka: list[Exchange]
    ours: list[Exchange]


def replay(parts: Sequence[str], cache: Path, progress: Callable[[str], None]) -> Replayed:
    """Runs parts of the script against Apache Kafka and against this server.

    Args:
        parts: names, in the order of the script.
        cache: where Apache Kafka's jars are kept.

    Raises:
        CannotHaveKafka: it can't be run here.
    """
    base_ms = int(time.time()) * 1000 - _TWO_HOURS_MS
    with tempfile.TemporaryDirectory(prefix="differential-") as folder:
        with KafkaProcess(jars(cache), Path(folder, "kafka"), {**_SETTINGS, **_KAFKA_SETTINGS}) as kafka:
            progress(f"Apache Kafka runs on {kafka.address}")
            theirs = _ask(kafka.address, base_ms, parts, progress)
        with OurProcess(Path(folder, "ours"), _SETTINGS) as ours:
            progress(f"this server runs on {ours.address}")
            own = _ask(ours.address, base_ms, parts, progress)
    return Replayed(theirs, own)


def _ask(address: str, base_ms: int, parts: Sequence[str], progress: Callable[[str], None]) -> list[Exchange]:
    session = Session(address, base_ms)
    for part in parts:
        begun = time.monotonic()
        asked = len(session.exchanges)
        session.part = part
        try:
            PARTS[part](session)
        except (KeyError, IndexError, RuntimeError, TimeoutError) as error:
            # A server that answers otherwise than the part can go on with: the other one's next answers show it.
            progress(f"  {part} ends early: {error!r}")
        session.close()
        progress(f"  {part}: {len(session.exchanges) - asked} requests in {time.monotonic() - begun:.1f} s")
    labels = [(exchange.part, exchange.label) for exchange in session.exchanges]
    doubled = {label for label in labels if labels.count(label) > 1}
    assert not doubled, f"two requests of a part have the same label: {doubled}"
    return Normalizer(base_ms, session.topics).all(session.exchanges)
