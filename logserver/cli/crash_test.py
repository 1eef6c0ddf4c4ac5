"""`logserver crash-test`: the proof that the server keeps its promises over crashes, as far as chance finds."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from logserver.cli.failures import CommandFailed, sentence
from logserver.cli.options import json_option
from logserver.cli.output import print_json
from logserver.cli.progress import progress_bar

if TYPE_CHECKING:
    from logserver.simulation.run import Outcome

_RUNS: Final = 40
_VIOLATION_EXIT: Final = 1


@click.command("crash-test")
@click.option("--seed", type=click.IntRange(0), metavar="N", help="The first seed.  [default: 1]")
@click.option(
    "--runs",
    type=click.IntRange(1),
    metavar="N",
    help=f"How many seeds, one after the other.  [default: {_RUNS}, or 1 if --seed is given]",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Processes to work with; one for each processor unless given, 8 at most.",
)
@json_option()
@click.pass_context
def crash_test(ctx: click.Context, seed: int | None, runs: int | None, jobs: int | None, as_json: bool) -> None:
    """Prove that nothing is lost: run the whole server in a simulation that crashes it, and check what is left.

    Each seed is a run of its own: clients produce, consume, join groups, run transactions and work on queues while the
    network is slow and resets connections, the disk fails or is full, and the power is cut at any moment, also in the
    middle of a write or a start. Of each cut several states are built that it could leave (what was not flushed is
    dropped, kept, torn, reordered), a server is started on each, and everything that clients were told is held against
    it. Nothing touches the real disk or network. The same seed does exactly the same.

    A violation is printed with the command that repeats it and the part of the history that concerns it.

    Exit codes: 0 every promise was kept, 1 one was broken.
    """
    if sys.platform != "linux":
        raise CommandFailed("The simulation runs the server, which needs Linux.")

    from logserver.simulation.runs import RunFailed, run_seeds

    first = 1 if seed is None else seed
    count = runs if runs is not None else (_RUNS if seed is None else 1)
    workers = min(jobs or min(os.cpu_count() or 1, 8), count)
    outcomes: list[Outcome] = []
    begun = time.monotonic()
    try:
        with progress_bar("runs", count) as progress:
            for outcome in run_seeds(first, count, workers):
                outcomes.append(outcome)
                if outcome.violation is not None and not as_json:
                    _print_violation(outcome)
                progress.update(1)
    except RunFailed as error:
        raise CommandFailed(sentence(str(error))) from error
    outcomes.sort(key=lambda outcome: outcome.seed)
    seconds = time.monotonic() - begun
    if as_json:
        print_json(_document(outcomes, seconds))
    else:
        _print_summary(outcomes, seconds)
    if any(outcome.violation is not None for outcome in outcomes):
        ctx.exit(_VIOLATION_EXIT)


def _print_violation(outcome: Outcome) -> None:
    click.echo(f"seed {outcome.seed}: {outcome.violation}")
    click.echo(f"  again with: logserver crash-test --seed {outcome.seed}")
    for line in outcome.history:
        click.echo(f"  {line}")


def _totals(outcomes: list[Outcome]) -> dict[str, int]:
    names = ("records", "acknowledged", "transactions", "deliveries", "settled", "crashes", "kills", "stops", "states")
    return {name: sum(getattr(outcome, name) for outcome in outcomes) for name in names}


def _print_summary(outcomes: list[Outcome], seconds: float) -> None:
    total = _totals(outcomes)
    broken = [outcome.seed for outcome in outcomes if outcome.violation is not None]
    seeds = f"seeds {outcomes[0].seed} to {outcomes[-1].seed}" if len(outcomes) > 1 else f"seed {outcomes[0].seed}"
    click.echo(
        f"{len(outcomes):,} {'run' if len(outcomes) == 1 else 'runs'} ({seeds}) in {seconds:.0f} s: "
        f"{total['records']:,} records sent, {total['acknowledged']:,} acknowledged, "
        f"{total['transactions']:,} transactions; {total['deliveries']:,} deliveries from queues, "
        f"{total['settled']:,} messages settled; {total['crashes']:,} power cuts, {total['kills']:,} kills, "
        f"{total['stops']:,} stops; {total['states']:,} states that a crash could leave were checked"
    )
    if broken:
        click.echo(f"BROKEN in {len(broken)} of them: seeds {', '.join(map(str, sorted(broken)))}")
    else:
        click.echo("every promise was kept")


def _document(outcomes: list[Outcome], seconds: float) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 3),
        **_totals(outcomes),
        "violations": sum(outcome.violation is not None for outcome in outcomes),
        "runs": [outcome.document() for outcome in outcomes],
    }
