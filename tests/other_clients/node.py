"""KafkaJS, run by the programs in the folder `kafkajs`."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

from .missing import KAFKAJS, KAFKAJS_CLIENTS

_SECONDS: Final = 60
_PROGRAMS: Final = Path(__file__).with_name("kafkajs")


def kafkajs(server: str, program: str, given: Any) -> Any:
    """Runs one of the programs against a server; returns its result.

    Args:
        given: what it takes, as its first lines say.

    Raises:
        AssertionError: it failed.
    """
    KAFKAJS_CLIENTS.need()
    environment = {**os.environ, "NODE_PATH": str(KAFKAJS / "node_modules"), "KAFKAJS_NO_PARTITIONER_WARNING": "1"}
    done = subprocess.run(
        ["node", str(_PROGRAMS / f"{program}.js"), server, json.dumps(given)],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
