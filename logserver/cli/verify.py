"""`logserver verify`: checks the data directory of a stopped server, and repairs it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from logserver.cli.options import directory_name, json_option
from logserver.cli.output import byte_text, count_text, print_json
from logserver.cli.settings import CONFIG_OPTION, SET_OPTION, load_or_fail

if TYPE_CHECKING:
    from logserver_segments.verification.findings import Finding, Note

    from logserver.cli.checking import Checked

_FINDINGS_EXIT: Final = 1


@click.command()
@click.argument("directories", nargs=-1, required=True, type=directory_name, metavar="DIR...")
@click.option("--repair", is_flag=True, help="Do what the findings say that repair does.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Processes to work with; one for each processor unless given, 8 at most.",
)
@CONFIG_OPTION
@SET_OPTION
@json_option()
@click.pass_context
def verify(
    ctx: click.Context,
    directories: tuple[str, ...],
    repair: bool,
    jobs: int | None,
    config: Path | None,
    overrides: dict[str, str],
    as_json: bool,
) -> None:
    """Check the data directory DIR of a stopped server (each, if it has several).

    Reads every record batch, and holds against them what is derived from them: indexes, leader epochs, producer states,
    aborted transactions, checkpoints. In the logs of the server itself every record is looked at: topics and settings,
    groups, transactions. Each finding names the file and the position, and what repair would do. With --repair it does
    that, and looks again: what is cut out of a log is kept in a file beside it (*.cut-*), and an empty batch takes the
    place of offsets that are lost.

    Exit codes: 0 nothing is wrong (any more), 1 there are findings, 2 it can't be checked.
    """
    from logserver.cli.checking import check_directories

    settings = load_or_fail(config, overrides)
    checked = check_directories(directories, mend=repair, jobs=jobs, default_cleanup=settings.log_cleanup_policy)
    if as_json:
        print_json(_document(checked, repair))
    else:
        _print(checked, repair)
    if checked.left:
        ctx.exit(_FINDINGS_EXIT)


def _print(checked: Checked, repaired: bool) -> None:
    for note in checked.notes:
        click.echo(f"{note.path}: note: {note.text}")
    for finding in checked.findings:
        click.echo(f"{_place(finding)}: {finding.problem}")
        is_left = finding in checked.left
        if not repaired:
            click.echo(f"    repair {finding.remedy}")
        elif not is_left:
            click.echo(f"    repaired: {finding.remedy}")
        else:
            click.echo(f"    not repaired: {finding.remedy}")
    for path in checked.side_files:
        click.echo(f"{path}: kept here")
    click.echo(_summary(checked, repaired))


def _place(finding: Finding) -> str:
    return finding.path if finding.position is None else f"{finding.path}, position {finding.position}"


def _summary(checked: Checked, repaired: bool) -> str:
    looked = (
        f"{count_text(checked.logs, 'log')}, {count_text(checked.batches, 'batch', 'batches')}, "
        f"{count_text(checked.records, 'record')}, {byte_text(checked.bytes_checked)} in {checked.seconds:.1f} s"
    )
    if not checked.findings:
        return f"{looked}: nothing is wrong."
    findings = count_text(len(checked.findings), "finding")
    if not any(finding.fix is not None for finding in checked.findings):
        return f"{looked}: {findings}, and nothing that repair can do."
    if not repaired:
        return f"{looked}: {findings}. Keep a copy of the directory, then run it with --repair."
    if not checked.left:
        return f"{looked}: {findings}, all repaired."
    return f"{looked}: {findings}, {len(checked.left)} of them not repaired."


def _document(checked: Checked, repaired: bool) -> dict[str, Any]:
    return {
        "directories": checked.directories,
        "clean_stop": checked.is_clean_stop,
        "logs": checked.logs,
        "batches": checked.batches,
        "records": checked.records,
        "bytes": checked.bytes_checked,
        "seconds": round(checked.seconds, 3),
        "findings": [
            {
                "path": finding.path,
                "position": finding.position,
                "problem": finding.problem,
                "repair": finding.remedy,
                "repaired": repaired and finding not in checked.left,
            }
            for finding in checked.findings
        ],
        "side_files": checked.side_files,
        "notes": [_note(note) for note in checked.notes],
    }


def _note(note: Note) -> dict[str, str]:
    return {"path": note.path, "text": note.text}
