"""Workers that die, come and go."""

import asyncio
import signal

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
    await stream.reckon()


async def test_a_storm_of_rebalances_loses_nothing(single: Single, open_stream: OpenStream, delivery: str) -> None:
    stream = await open_stream(single.address, delivery=delivery)
    stays = stream.worker()
    stream.feed()
    await stays.ready()
    guests = [stream.worker(), stream.worker()]
    for number in range(6):
        guest = guests[number % 2]
        await guest.ready()
        await asyncio.sleep(stream.rng.uniform(0.0, 1.0))
        assert await guest.stop() == 0
        guest.start()
    await stream.reckon()
    assert stays.running


@pytest.mark.long
async def test_a_worker_that_stands_still_and_goes_on_loses_nothing(
    single: Single, open_stream: OpenStream, delivery: str
) -> None:
    stream = await open_stream(single.address, delivery=delivery)
    frozen = stream.worker()
    stream.feed()
    await frozen.ready()
    await stream.until_found(20)
    other = stream.worker()
    frozen.signal(signal.SIGSTOP)
    await other.ready()
    await asyncio.sleep(stream.rng.uniform(5.0, 6.0))  # its session is over; the other has everything
    await stream.until_found(20)
    frozen.signal(signal.SIGCONT)
    await stream.until_found(20)
    await stream.reckon()
