"""Worker process: the bare gRPC stream."""

import asyncio
from typing import Any

from benchmarks.bare import client
from benchmarks.bare.protocol import Terms
from benchmarks.support.worker import work


def main() -> None:
    with asyncio.Runner() as runner:

        def produce(address: str, server_pid: int, terms: dict[str, Any], in_flight: int) -> Any:
            return runner.run(client.produce(address, server_pid, Terms(**terms), in_flight)).to_json(None)

        def consume(address: str, server_pid: int, terms: dict[str, Any], credit_messages: int) -> Any:
            return runner.run(client.consume(address, server_pid, Terms(**terms), credit_messages)).to_json(None)

        def round_trips(address: str, count: int, message_bytes: int, answer_bytes: int) -> Any:
            return runner.run(client.round_trips(address, count, message_bytes, answer_bytes))

        work({"produce": produce, "consume": consume, "round_trips": round_trips})


if __name__ == "__main__":
    main()
