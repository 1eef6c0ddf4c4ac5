"""What the demonstration says while it runs, and what it has proved at the end."""

import time


class Proof:
    """Prints steps, and keeps the facts that were checked."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._facts: list[tuple[bool, str]] = []

    def step(self, title: str) -> None:
        """Opens a part of the demonstration."""
        print(f"\n{title}  [{time.monotonic() - self._began:.0f} s]", flush=True)

    def say(self, text: str) -> None:
        """A line about what is going on."""
        print(f"  {text}", flush=True)

    def check(self, holds: bool, fact: str) -> None:
        """Keeps a fact, and says at once whether it holds."""
        self._facts.append((holds, fact))
        self.say(f"{'ok    ' if holds else 'FAILED'} {fact}")

    def close(self) -> bool:
        """Prints all facts once more; True if every one holds."""
        failed = sum(not holds for holds, _ in self._facts)
        self.step("What was proved, from what was read back")
        for holds, fact in self._facts:
            self.say(f"{'ok    ' if holds else 'FAILED'} {fact}")
        print(f"\n{len(self._facts) - failed} facts hold, {failed} do not.", flush=True)
        return not failed
