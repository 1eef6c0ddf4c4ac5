"""The outcome of one run of appends."""

from dataclasses import dataclass, field

from benchmarks.support.numbers import percentile


@dataclass(slots=True)
class Run:
    """One measurement."""

    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def appends_per_s(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def latency_ms(self, percent: float) -> float:
        return percentile(sorted(self.latencies_ms), percent)
