"""Topics for alerts that are slow, gone, full, closed, or take less than they are given."""

import asyncio
import sys
from pathlib import Path

import pytest

from benchmarks.brokers import FOR_TESTS, ApacheKafka
from tests.integration.faults import admin
from tests.integration.faults.conftest import QUICK, OpenStream, Single

pytestmark = pytest.mark.integration


async def test_a_slow_sink_holds_the_stream_back_and_loses_nothing(
    single: Single, open_stream: OpenStream, delivery: str
) -> None:
    small = {"SLUICE_CONSUME__MAX_IN_FLIGHT": "50", "SLUICE_CONSUME__MAX_PARTITION_FETCH_BYTES": "50000"}
    stream = await open_stream(single.address, environment=small, delivery=delivery)
    await stream.produce(20_000)
    # a few alerts a second: sightings and states are written too, and again after a transaction that took too long
    await admin.throttle(single.address, "sluice-0", 20_000 if delivery == "at_least_once" else 100_000)
    try:
        worker = await stream.worker().joined()
        await stream.until_found(100, seconds=120)
        await asyncio.sleep(4.0)
        taken = await worker.metric("sluice_consume_records_total")
        assert (await worker.get("/livez"))[0] == 200
    finally:
        await admin.throttle(single.address, "sluice-0", None)
    await stream.reckon()
    assert taken < 15_000, "it was to be held back"


async def test_alerts_nobody_may_write_are_kept_until_somebody_may(
    single: Single, open_stream: OpenStream, delivery: str
) -> None:
    stream = await open_stream(single.address, delivery=delivery)
    worker = stream.worker()
    stream.feed(500)
    await worker.ready()
    await stream.until_found(20)
    await admin.forbid_writing(single.address, stream.alerts)
    async with asyncio.timeout(30):  # it is to be refused
        while not await worker.metric("sluice_publish_failures_total"):
            await asyncio.sleep(0.2)
    assert (await worker.get("/readyz"))[0] == 503, "and to say so"
    worker.kill()  # whoever comes next begins where nothing was acknowledged
    await worker.start().joined()
    await asyncio.sleep(2.0)
    await admin.allow_writing(single.address, stream.alerts)
    await stream.reckon()
    assert worker.running
    assert (await worker.get("/readyz"))[0] == 200


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a running process are Linux's")
async def test_a_full_disk_delays_and_loses_nothing(tmp_path: Path, open_stream: OpenStream, delivery: str) -> None:
    broker = ApacheKafka(tmp_path / "broker", QUICK, java=FOR_TESTS)
    with broker:
        stream = await open_stream(broker.address, delivery=delivery)
        worker = stream.worker()
        await worker.ready()
        await stream.produce(3000)
        await stream.until_all_found()
        broker.limit_files(16 * 1024)  # what is longer already cannot grow; a broker without a place to write gives up
        stream.feed(300)
        for _ in range(200):
            if not broker.running:
                break
            await asyncio.sleep(0.1)
        assert not broker.running, "it was to find its disk full"
        await asyncio.sleep(2.0)
        await asyncio.to_thread(broker.start)
        await stream.until_found(20)
        await stream.reckon()
        assert worker.running
        await stream.close()
