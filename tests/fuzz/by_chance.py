"""Mutations by chance."""

import time
from random import Random

from tests.fuzz.findings import Findings, corpus, limited

_MOST_BYTES = 20_000


def mutated(data: bytes, others: list[bytes], random: Random) -> bytes:
    """Returns an input with some things wrong."""
    made = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        at = random.randrange(len(made) + 1)
        kind = random.randrange(7)
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
        elif kind == 5:
            made[at : at + 8] = random.choice((1 << 63, (1 << 63) - 1, 1, 3, random.getrandbits(64))).to_bytes(8, "big")
        else:
            other = random.choice(others)
            made[at:] = other[random.randrange(len(other) + 1) :]
    return bytes(made[:_MOST_BYTES])


def fuzz(name: str, seconds: float, seed: int) -> Findings:
    """Runs a target on mutated inputs."""
    random, inputs, findings = Random(f"{name} {seed}"), corpus(name), Findings(name)
    ends = time.monotonic() + seconds
    with limited():
        for data in inputs:
            findings.execute(data)
        while time.monotonic() < ends:
            findings.execute(mutated(random.choice(inputs), inputs, random))
    return findings
