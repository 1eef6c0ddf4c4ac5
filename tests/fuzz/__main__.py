"""Fuzzes: python -m tests.fuzz [--seconds N] [TARGET...], by coverage where atheris is installed, by chance otherwise.

Prints executions and findings of each target; what a finding needs is written to tests/fuzz/corpus/TARGET/, which the
tests replay. Exit code 1 if there are findings.
"""

import argparse
import hashlib
import logging
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Final

from tests.fuzz.targets import TARGETS, examples

CORPUS: Final = Path(__file__).parent / "corpus"


def keep(name: str, data: bytes) -> Path:
    """Writes an input to the corpus."""
    path = CORPUS / name / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def corpus(name: str) -> list[bytes]:
    """Returns the inputs of a target that are kept, and good ones."""
    kept = [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
    return [*examples()[name], *kept]


def mutated(data: bytes, others: list[bytes], random: Random) -> bytes:
    """Returns an input with some things wrong."""
    made = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        at = random.randrange(len(made) + 1)
        kind = random.randrange(6)
        if kind == 0 and made:
            made[at % len(made)] ^= 1 << random.randrange(8)
        elif kind == 1 and made:
            made[at % len(made)] = random.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            del made[at : at + random.randint(1, 8)]
        elif kind == 3:
            made[at:at] = random.randbytes(random.randint(1, 8))
        elif kind == 4:
            made[at : at + 4] = random.choice((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", bytes(4)))
        else:
            other = random.choice(others)
            made[at:] = other[random.randrange(len(other) + 1) :]
    return bytes(made[:20_000])


def by_chance(name: str, seconds: float, seed: int) -> tuple[int, list[Path]]:
    """Runs a target on mutated inputs; returns executions and findings."""
    random = Random(f"{name} {seed}")
    inputs, target = corpus(name), TARGETS[name]
    ends, count, findings = time.monotonic() + seconds, 0, []
    seen: set[str] = set()
    while time.monotonic() < ends:
        data = mutated(random.choice(inputs), inputs, random)
        count += 1
        try:
            target(data)
        except Exception as error:
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            where = f"{type(error).__name__} {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
            if where not in seen:
                seen.add(where)
                findings.append(keep(name, data))
                print(f"{name}: {where}: {error!r:.200}: {findings[-1]}", flush=True)
    return count, findings


def by_coverage(name: str, seconds: float) -> None:
    """Runs a target under atheris in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["logserver", "logserver_segments", "logserver_records"]):
        for module in [module for module in sys.modules if module.startswith(("logserver", "tests.fuzz.targets"))]:
            del sys.modules[module]
        from tests.fuzz import targets
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.argv[0],
        f"-max_total_time={int(seconds)}",
        "-max_len=4096",
        f"-artifact_prefix={folder}/",
        "-verbosity=0",
    ]
    atheris.Setup([*arguments, "-print_final_stats=1"], targets.TARGETS[name])
    atheris.Fuzz()


def main() -> int:
    """Fuzzes all targets, one after the other."""
    # What the server says of each damaged file is of no interest here.
    logging.disable(logging.CRITICAL)
    parser = argparse.ArgumentParser(description="Fuzzes the readers of hostile bytes.")
    parser.add_argument("--seconds", type=float, default=60, help="for all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--by-coverage", metavar="TARGET", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="TARGET")
    given = parser.parse_args()
    if given.by_coverage:
        by_coverage(given.by_coverage, given.seconds)
        return 0
    names = given.targets or list(TARGETS)
    share, total, findings = given.seconds / len(names), 0, []
    try:
        import atheris  # noqa: F401

        has_atheris = True
    except ImportError:
        has_atheris = False
    for name in names:
        chance_s = share / 2 if has_atheris else share
        count, found = by_chance(name, chance_s, given.seed)
        print(f"{name}: {count:,} executions by chance in {chance_s:.0f} s, {len(found)} findings", flush=True)
        total += count
        findings += found
        if has_atheris:
            command = [sys.executable, "-m", "tests.fuzz", "--seconds", str(max(share / 2, 1)), "--by-coverage", name]
            done = subprocess.run(command, capture_output=True, text=True)
            stats = [line for line in done.stderr.splitlines() if "number_of_executed_units" in line]
            executed = int(stats[-1].split(":")[-1]) if stats else 0
            total += executed
            print(f"{name}: {executed:,} executions by coverage", flush=True)
            if done.returncode:
                findings.append(CORPUS / name)
                print(done.stdout[-2000:], done.stderr[-3000:], flush=True)
    print(f"{total:,} executions, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
