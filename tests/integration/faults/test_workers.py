"""Workers that die, come and go."""

import asyncio

import pytest

from tests.integration.faults.conftest import OpenStream, Single

pytestmark = pytest.mark.integration


async def test_workers_killed_at_random_times_lose_nothing(
    single: Single, open_stream: OpenStream, rounds: int, delivery: str
) -> None:
    stream = await open_stream(single.address, delivery=delivery)
    team = [stream.worker(), stream.worker()]
    stream.feed()
    for worker in team:
        await worker.ready()
    for _ in range(rounds):
        await asyncio.sleep(stream.rng.uniform(0.0, 2.0))
        worker = stream.rng.choice(team)
        worker.kill()
        await asyncio.sleep(stream.rng.uniform(0.0, 0.5))
        worker.start()
        if stream.rng.random() < 0.7:  # now and then one dies again while it starts
            await worker.ready()
    await stream.reckon(seconds=120)
