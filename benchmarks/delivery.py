"""What the delivery engine of work queues costs for a message, without sockets, clients or disk."""

import argparse
import random
import sys
import time
from collections import deque
from typing import Final

from benchmarks.support.numbers import spread
from benchmarks.support.options import parser, whole_numbers
from benchmarks.support.output import Report, progress
from logserver.coordinator.delivery.changes import Changes
from logserver.coordinator.delivery.engine import Engine
from logserver.coordinator.delivery.events import Events
from logserver.coordinator.delivery.handles import Handle
from logserver.coordinator.delivery.order import OffsetOrder
from logserver.coordinator.delivery.policy import Policy
from logserver.coordinator.delivery.storing import take_delta

CLAIM: Final = "a message costs the delivery engine microseconds, and what waits costs nothing"

_BIG: Final = 1 << 30
_MESSAGE_BYTES: Final = 100

_NOTES: Final = (
    "us a message: acquired, acknowledged and described for writing, its story told; processor time of one thread",
    "acquired together: messages of one acquisition, which is acknowledged as a whole; 1 is a prefetch of 1",
    "held: messages that are in flight all the time; they are acknowledged in the order in which they were acquired, "
    "or in any order",
    "what is described for writing is so after every 100 acknowledgements; the bytes are not made",
    "Median (least to most) of the rounds",
)


def work(messages: int, together: int, held: int, *, any_order: bool, seed: int) -> float:
    """Returns the processor time of so many messages, in seconds."""
    chance = random.Random(seed)
    events = Events()
    engine = Engine(0, 1, Policy(), OffsetOrder(), chance, Changes(), events)
    engine.offer(0, messages - 1, size=messages * _MESSAGE_BYTES)
    flying: deque[tuple[int, int, int]] = deque()
    acknowledged = done = in_flight = 0
    started = time.thread_time()
    while done < messages:
        while in_flight < held and (found := engine.acquire("worker", together, _BIG, 30_000, now_ms=done)).ranges:
            in_flight += found.records
            flying.extend((each.first, each.last, each.number) for each in found.ranges)
        if any_order:
            flying.rotate(chance.randrange(len(flying)))
        first, last, number = flying.popleft()
        assert engine.acknowledge(Handle(first, last, number), now_ms=done)
        in_flight -= last - first + 1
        done += last - first + 1
        acknowledged += 1
        if acknowledged % 100 == 0:
            take_delta(engine)
            events.take()
    return time.thread_time() - started


def options(arguments: list[str]) -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--rounds", type=int, help="how often each is measured, in turn (5, quick: 2)")
    made.add_argument("--messages", type=int, help="of one run (200000, quick: 20000)")
    made.add_argument("--together", type=whole_numbers, default=[1, 10, 500], help="acquired together (1,10,500)")
    made.add_argument("--held", type=whole_numbers, default=[100, 10_000], help="in flight (100,10000)")
    found = made.parse_args(arguments)
    found.rounds = found.rounds or (2 if found.quick else 5)
    found.messages = found.messages or (20_000 if found.quick else 200_000)
    return found


def main() -> None:
    chosen = options(sys.argv[1:])
    report = Report("benchmarks.delivery", CLAIM, chosen.directory)
    report.notes += _NOTES
    table = report.table("The delivery engine alone")
    cases = [
        (together, held, any_order)
        for together in chosen.together
        for held in chosen.held
        for any_order in (False, True)
    ]
    found: dict[tuple[int, int, bool], list[float]] = {case: [] for case in cases}
    for number in range(chosen.rounds):
        for case in cases:
            together, held, any_order = case
            progress(f"{together} together, {held:,} held: round {number + 1} of {chosen.rounds}")
            seconds = work(chosen.messages, together, held, any_order=any_order, seed=number)
            found[case].append(seconds / chosen.messages * 1e6)
            report.runs.append({"together": together, "held": held, "any_order": any_order, "seconds": seconds})
    for (together, held, any_order), costs in found.items():
        table.rows.append(
            {
                "acquired together": together,
                "held": held,
                "order": "any" if any_order else "as acquired",
                "us a message": spread(costs),
            }
        )
    report.emit(as_json=chosen.json)


if __name__ == "__main__":
    main()
