"""Part two: the server is killed while it stores, and loses nothing that it acknowledged."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from .stage import Stage

TOPIC: Final = "flights-killed"
KILLS: Final = 2


def kill(stage: Stage) -> None:
    """Loads the flights into a second topic and kills the server twice on the way."""
    stage.proof.step(f"Killing the server while it stores the flights again, in the topic {TOPIC!r}")
    load = stage.new_load(TOPIC)
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load.run, stage.server.address, TOPIC)
        for number in range(1, KILLS + 1):
            acknowledged = load.wait(number * len(stage.flights) // (KILLS + 1))
            stage.server.kill()
            under_way = load.sent - len(load.acknowledged)
            seconds = stage.server.start()
            stage.proof.say(f"ready again after {seconds:.1f} s")
            stage.proof.check(
                under_way > 0 and not loading.done(),
                f"SIGKILL with {acknowledged:,} records acknowledged and {under_way:,} under way, and a restart",
            )
        loading.result()
    read = stage.read_back(TOPIC)
    stage.check_acknowledged(read, load)
    stage.proof.check(read.twice == 0, f"none twice: {read.count:,} records read, {read.twice} of them again")
    stage.proof.check(read.is_all_of(stage.flights), "the producer went on: each flight is there once and unchanged")
    stage.proof.check(read.keeps_order_of(stage.flights), "per-key order kept across the kills")
