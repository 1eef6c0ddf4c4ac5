"""Connections of the simulation: late, in pieces, in order, and reset."""

import asyncio
from random import Random

import pytest

from logserver.simulation.loop import Process, SimulatedLoop
from logserver.simulation.network import Network, Weather


class Peer(asyncio.Protocol):
    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.lost: list[Exception | None] = []

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


async def pair(loop: SimulatedLoop, network: Network, process: Process) -> tuple[Peer, Peer, asyncio.Transport]:
    there = Peer()

    async def listen() -> None:
        server = await loop.create_server(lambda: there, "127.0.0.1", 9092)
        await server.start_serving()

    await process.start(listen())
    here = Peer()
    return here, there, await network.connect(here, 9092)


@pytest.mark.parametrize("seed", range(5))
def test_bytes_come_in_pieces_and_in_order(seed: int) -> None:
    loop = SimulatedLoop()
    network = Network(loop, Random(seed))
    network.weather = Weather(most_piece_bytes=7, stall_chance=0.1)

    async def main() -> None:
        here, there, transport = await pair(loop, network, Process(loop, "server"))
        sent = Random(seed).randbytes(2000)
        for start in range(0, 2000, 100):
            transport.write(sent[start : start + 100])
            await asyncio.sleep(0.001)
        transport.close()
        await asyncio.sleep(2000)
        assert b"".join(there.pieces) == sent
        assert max(map(len, there.pieces)) <= 7
        assert (here.lost, there.lost) == ([None], [None])

    loop.run(main())


def test_a_reset_loses_what_is_on_its_way_and_a_killed_process_answers_nobody() -> None:
    loop = SimulatedLoop()
    network = Network(loop, Random(1))
    network.weather = Weather(least_delay_s=1, most_delay_s=2)

    async def main() -> None:
        process = Process(loop, "server")
        here, there, transport = await pair(loop, network, process)
        transport.write(b"lost")
        process.kill()
        network.kill(process)
        await asyncio.sleep(10)
        assert (there.pieces, there.lost) == ([], [])
        assert isinstance(here.lost[0], ConnectionResetError)
        with pytest.raises(ConnectionRefusedError):
            await network.connect(Peer(), 9092)

    loop.run(main())
