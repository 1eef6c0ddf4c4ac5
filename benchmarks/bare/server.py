"""The bare gRPC server: on the event loop of the log server, messages as bytes, nothing done with them.

`python -m benchmarks.bare.server --directory DIR` prints `ready grpc=HOST:PORT`.
"""

import argparse
import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import uvloop

from benchmarks.bare.durable import DurableFile
from benchmarks.bare.messages import messages
from benchmarks.bare.protocol import CREDIT_BYTES, GIVE, OPTIONS, TAKE, Terms


class Bare:
    """The two calls.

    Args:
        directory: for the files of durable calls.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def take(self, requests: object, context: Any) -> None:
        """Answers every message behind the terms, in order."""
        terms = Terms.of(await context.read())
        answer = bytes(terms.answer_bytes)
        await context.write(answer)
        if terms.durable:
            await self._take_durably(context, answer)
            return
        while (await context.read()) is not grpc.aio.EOF:
            await context.write(answer)

    async def _take_durably(self, context: Any, answer: bytes) -> None:
        with DurableFile(self._directory) as file:
            answering = asyncio.create_task(_answer(context, file, answer))
            try:
                while (message := await context.read()) is not grpc.aio.EOF:
                    file.write(message)
                file.end()
                await answering
            finally:
                answering.cancel()

    async def give(self, requests: object, context: Any) -> None:
        """Sends the messages of the terms as credit comes."""
        terms = Terms.of(await context.read())
        to_send = messages(terms.message_bytes, terms.messages)
        await context.write(b"ready")
        credit = 0
        more = asyncio.Event()

        async def take_credit() -> None:
            nonlocal credit
            while (given := await context.read()) is not grpc.aio.EOF:
                credit += int.from_bytes(given[:CREDIT_BYTES], "big")
                more.set()

        taking = asyncio.create_task(take_credit())
        try:
            for message in to_send:
                while credit <= 0:
                    more.clear()
                    await more.wait()
                await context.write(message)
                credit -= terms.message_bytes
            await taking
        finally:
            taking.cancel()


async def _answer(context: Any, file: DurableFile, answer: bytes) -> None:
    while (count := await file.flushed()) is not None:
        for _ in range(count):
            await context.write(answer)


async def _serve(directory: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    bare = Bare(directory)
    server = grpc.aio.server(options=OPTIONS)
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        TAKE.rpartition("/")[2]: grpc.stream_stream_rpc_method_handler(bare.take),
        GIVE.rpartition("/")[2]: grpc.stream_stream_rpc_method_handler(bare.give),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("benchmarks.Bare", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"ready grpc=127.0.0.1:{port}\n")
    sys.stdout.flush()
    await stop.wait()
    await server.stop(None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, required=True)
    # As the log server: the flusher's thread gets the interpreter sooner.
    sys.setswitchinterval(0.0005)
    uvloop.run(_serve(parser.parse_args().directory))


if __name__ == "__main__":
    main()
