"""Records of Apache Kafka's: read, written the same byte for byte, and what a restart makes of them."""

import pytest

from logserver.coordinator.share_state.formats import (
    SnapshotValue,
    decode_key,
    decode_snapshot,
    decode_update,
    encode_key,
    encode_snapshot,
    encode_update,
)
from logserver.coordinator.share_state.limits import StateLimits
from logserver.coordinator.share_state.machine import ShareMachine
from logserver.coordinator.share_state.state_key import StateSummary
from tests.broker.harness import NOW_MS

from .kafka_vectors import BROKER, BROKER_KEY, VECTORS, Vector
from .nodes import acknowledged, available

every_vector = pytest.mark.parametrize("vector", [pytest.param(vector, id=vector.made) for vector in VECTORS])


@every_vector
def test_a_record_of_kafka_is_read(vector: Vector) -> None:
    assert decode_key(vector.key_data) == (vector.record_type, vector.key)
    decode = decode_snapshot if isinstance(vector.value, SnapshotValue) else decode_update
    assert decode(vector.value_data) == vector.value


@every_vector
def test_a_record_is_written_as_kafka_writes_it(vector: Vector) -> None:
    assert encode_key(vector.record_type, vector.key) == vector.key_data
    written = encode_snapshot(vector.value) if isinstance(vector.value, SnapshotValue) else encode_update(vector.value)
    assert written == vector.value_data


def test_what_a_broker_wrote_is_read_back_step_by_step() -> None:
    machine = ShareMachine(StateLimits())
    found = []
    for offset, vector in enumerate(BROKER):
        machine.apply(vector.key_data, vector.value_data, offset, NOW_MS)
        state = machine.states[BROKER_KEY]
        stored = state.stored()
        found.append((state.summary(), None if stored is None else stored.ranges))
        said = vector.value.delivery_complete_count
        assert state.summary().delivery_complete_count == said
    archived = acknowledged(10, 29)._replace(state=found[-1][1][0].state)  # type: ignore[index]
    assert found == [
        (StateSummary(2, 0, -1, -1), None),
        (StateSummary(2, 0, 0, 5), [acknowledged(0, 4)]),
        (StateSummary(2, 0, 5, 0), [available(5, 29)]),
        (StateSummary(2, 0, 5, 5), [acknowledged(5, 9)._replace(state=archived.state), available(10, 29)]),
        (StateSummary(2, 0, 10, 20), [archived]),
    ]
    assert archived.state == 4
