"""States as engines may have them, for hypothesis."""

from hypothesis import strategies as st

from logserver.coordinator.delivery.moves import Destination, Move
from logserver.coordinator.delivery.stored import Extras, Stored, StoredRange, StoredState
from logserver.coordinator.formats.primitives import topic_id_text
from logserver.coordinator.share_state.ranges import add
from logserver.coordinator.share_state.state_key import StateKey

offsets = st.integers(0, (1 << 62) - 1)
times = st.one_of(st.just(-1), st.integers(0, 1 << 45))
numbers = st.one_of(st.just(-1), st.integers(0, 1 << 62))
counts = st.one_of(st.integers(0, 3), st.integers(0, 1 << 20))
ids = st.binary(min_size=16, max_size=16)
texts = st.text(max_size=8)

keys = st.builds(
    lambda group_id, topic_id, partition: StateKey(group_id, topic_id_text(topic_id), partition),
    st.text(min_size=1, max_size=20),
    ids,
    st.integers(0, (1 << 31) - 1),
)


extras = st.builds(
    Extras, counts, times, times, numbers, st.booleans(), st.booleans(), st.booleans(), times, st.just(-1)
)

moves = st.builds(
    lambda reason, topic, partition, acquisitions, failures, first_ms, last_ms, at_ms, offset, refusal: Move(
        0,
        0,
        0,
        reason,
        Destination(topic, partition),
        acquisitions,
        failures,
        first_ms,
        last_ms,
        at_ms,
        from_offset=offset,
        refusal=refusal,
    ),
    texts,
    texts,
    st.one_of(st.none(), st.integers(0, 10_000)),
    counts,
    counts,
    times,
    times,
    times,
    times,
    texts,
)


@st.composite
def states(draw: st.DrawFn, most: int = 12) -> Stored:
    """A state, as `take_snapshot` has it: ranges in order, neighbours with the same story as one."""
    start = draw(offsets)
    ranges: list[StoredRange] = []
    found: list[Move] = []
    at = start
    for _ in range(draw(st.integers(0, most))):
        first = at + draw(st.integers(0, 3))
        last = first + draw(st.sampled_from([0, 0, 1, 5, 1 << 30]))
        at = last + 1
        state = draw(st.sampled_from(StoredState))
        if state is not StoredState.AVAILABLE:
            add(ranges, StoredRange(first, last, state, 0))
            continue
        kept = StoredRange(first, last, state, draw(counts), draw(st.one_of(st.just(Extras()), extras)))
        if draw(st.integers(0, 4)) == 0:
            move = draw(moves)
            move.intent, move.first, move.last = len(found) + 1, first, last
            found.append(move)
            kept = kept._replace(extras=kept.extras._replace(intent=move.intent))
        add(ranges, kept)
    return Stored(start, draw(st.integers(1, 1 << 20)), draw(offsets), draw(offsets), ranges, found)


def plain(stored: Stored) -> tuple[object, ...]:
    """Returns what can be compared of a state: moves by their fields."""
    return (
        *stored[:5],
        [tuple(getattr(move, name) for name in move.__slots__) for move in stored.moves],
    )
