"""What is fuzzed: each target takes any bytes, and raises nothing but what its code says that it raises on bad ones."""

from typing import Final

from tests.fuzz.targets import batches, commands, coordinators, files, metadata, protocol
from tests.fuzz.targets.target import Target

__all__ = ["TARGETS", "Target"]

TARGETS: Final[dict[str, Target]] = {
    target.name: target
    for module in (protocol, batches, files, coordinators, metadata, commands)
    for target in module.TARGETS
}
