"""Part one: every flight is stored and read back."""

from typing import Final

from .readback import ReadBack
from .stage import PARTITIONS, Stage

TOPIC: Final = "flights"
FLIGHTS: Final = 336_776


def store(stage: Stage) -> ReadBack:
    """Loads every flight into the topic `flights`; returns what was read back."""
    stage.proof.step(f"Storing {len(stage.flights):,} flights in the topic {TOPIC!r}")
    load = stage.new_load(TOPIC)
    load.run(stage.server.address, TOPIC)
    read = stage.read_back(TOPIC)
    for partition, count, carriers in read.counts():
        stage.proof.say(f"partition {partition:>2}: {count:>7,} records, carriers {carriers}")
    partitions = len(stage.commands.document("topics", "describe", TOPIC)["partitions"])
    stage.proof.check(
        read.count == FLIGHTS and partitions == PARTITIONS,
        f"{read.count:,} records stored over {partitions} partitions, keyed by carrier",
    )
    stage.proof.check(
        read.is_all_of(stage.flights), f"each flight of the file is there once and unchanged; {read.changed} differ"
    )
    stage.proof.check(read.keeps_order_of(stage.flights), "per-key order kept: each carrier's flights are in order")
    stage.check_acknowledged(read, load)
    return read
