"""A network between service and broker that is cut, hangs, delays and resets."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.integration.faults.conftest import OpenStream, Single
from tests.integration.faults.proxy import Proxy

pytestmark = pytest.mark.integration

IMPATIENT = {"SLUICE_KAFKA__REQUEST_TIMEOUT_MS": "5000"}


@pytest.fixture
async def proxy(single: Single) -> AsyncIterator[Proxy]:
    async with Proxy(single.proxied_port, single.behind) as between:
        yield between


async def test_connections_that_are_reset_lose_nothing(
    single: Single, proxy: Proxy, open_stream: OpenStream, delivery: str
) -> None:
    stream = await open_stream(single.address, through=proxy.address, delivery=delivery)
    worker = stream.worker()
    stream.feed()
    await worker.ready()
    await stream.until_found(20)
    for _ in range(8):
        proxy.reset()
        await asyncio.sleep(stream.rng.uniform(0.1, 0.8))
    await stream.reckon()
    assert worker.running
    assert proxy.passed > 100_000


async def test_a_network_that_is_cut_and_mended_loses_nothing(
    single: Single, proxy: Proxy, open_stream: OpenStream, delivery: str
) -> None:
    stream = await open_stream(single.address, through=proxy.address, delivery=delivery)
    worker = stream.worker()
    stream.feed()
    await worker.ready()
    await stream.until_found(20)
    for seconds in (1.0, stream.rng.uniform(6.0, 8.0)):  # within the session and beyond it
        proxy.cut()
        await asyncio.sleep(seconds)
        proxy.mend()
        await stream.until_found(20)
    await stream.reckon()
    assert worker.running


@pytest.mark.long
async def test_a_network_that_delays_and_hangs_loses_nothing(
    single: Single, proxy: Proxy, open_stream: OpenStream, delivery: str
) -> None:
    stream = await open_stream(single.address, through=proxy.address, delivery=delivery)
    worker = stream.worker()
    stream.feed()
    await worker.ready()
    proxy.delay = 0.2
    await stream.until_found(20)
    proxy.hang()
    await asyncio.sleep(stream.rng.uniform(5.0, 7.0))
    proxy.mend()
    await stream.until_found(20)
    await stream.reckon()
    assert worker.running


async def test_a_worker_that_is_cut_off_while_another_takes_over_loses_nothing(
    single: Single, proxy: Proxy, open_stream: OpenStream, delivery: str
) -> None:
    stream = await open_stream(single.address, delivery=delivery)
    apart = stream.worker(KAFKA_BOOTSTRAP_SERVERS=proxy.address)
    stream.feed()
    await apart.ready()
    await stream.until_found(20)
    await stream.worker().ready()
    await stream.until_found(20)
    proxy.hang()
    await asyncio.sleep(7.0)  # the session is over; the other has everything
    await stream.until_found(20)
    proxy.mend()
    await stream.until_found(20)
    await stream.reckon()


@pytest.mark.parametrize("how", ["cut", pytest.param("hang", marks=pytest.mark.long)])
async def test_a_worker_that_is_told_to_end_ends_without_its_broker(
    single: Single, proxy: Proxy, open_stream: OpenStream, delivery: str, how: str
) -> None:
    stream = await open_stream(single.address, through=proxy.address, delivery=delivery)
    worker = stream.worker()
    stream.feed()
    await worker.ready()
    await stream.until_found(20)
    getattr(proxy, how)()
    await asyncio.sleep(stream.rng.uniform(0.0, 6.0))
    status = await worker.stop(seconds=90.0)
    assert status == 0, stream.tails()
    proxy.mend()
    await worker.start().ready()
    await stream.until_found(20)
    await stream.reckon()
