"""Producers are forgotten by the server's clock, never by the timestamps of what they write."""

from logserver_records.batch import BatchHeader
from logserver_segments.producer_state import ProducerStates

from .support import Box
from .support import batch as encoded

HOUR_MS = 3_600_000
NOW_MS = 1_800_000_000_000
OLD_MS = 1_000


def batch(producer_id: int, sequence: int) -> BatchHeader:
    return BatchHeader(0, 49, 0, 2, 0, 0, 0, OLD_MS, OLD_MS, producer_id, 0, sequence, 1)


def test_an_active_producer_of_old_records_is_remembered() -> None:
    states = ProducerStates(10)
    states.update(batch(7, 0), 0, NOW_MS)
    assert states.expire(NOW_MS + HOUR_MS, HOUR_MS) == 0
    known = states.check(batch(7, 0))
    assert known is not None and known.first_offset == 0


def test_a_producer_that_is_silent_for_longer_than_its_lifetime_is_forgotten() -> None:
    states = ProducerStates(10)
    states.update(batch(7, 0), 0, NOW_MS)
    states.update(batch(8, 0), 1, NOW_MS + HOUR_MS)
    assert states.expire(NOW_MS + HOUR_MS + 1, HOUR_MS) == 1
    assert [producer_id for producer_id, _ in states.items()] == [8]


def test_a_producer_known_from_before_the_start_gets_its_whole_lifetime() -> None:
    before = ProducerStates(10)
    before.update(batch(7, 0), 0, NOW_MS)
    states = ProducerStates(10)
    states.load_snapshot(before.to_snapshot())
    assert states.expire(NOW_MS + 9 * HOUR_MS, HOUR_MS) == 0
    assert states.expire(NOW_MS + 10 * HOUR_MS, HOUR_MS) == 0
    assert states.expire(NOW_MS + 10 * HOUR_MS + 1, HOUR_MS) == 1


def test_a_forgotten_producer_stays_forgotten_over_a_stop() -> None:
    box = Box()
    box.append(encoded(b"x", producer=(7, 0, 0)))
    # Writes a snapshot as of this very offset.
    box.reopen()
    box.directory.expire_producers()
    box.clock.advance(box.config.producer_expiration_ms + 1)
    box.directory.expire_producers()
    assert not len(box.log.producers)
    box.reopen()
    assert not len(box.log.producers)
