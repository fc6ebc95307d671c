"""Clocks that are wrong: the one of the machine a worker runs on, which jumps, and those of whoever writes records."""

import asyncio
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.integration.faults import admin
from tests.integration.faults.conftest import OpenStream, Single

pytestmark = pytest.mark.integration

HOUR = 3600
DAY = 24 * HOUR


class Clock:
    """A worker's wall clock, which can be set; what counts seconds from the machine's start goes on undisturbed."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr").glob("lib*/**/faketime/libfaketime.so.1"))
        if not found:
            missing("libfaketime is missing: `make tools` installs it")
        self._file = folder / "clock"
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int) -> None:
        """So many seconds from the right time."""
        self._file.write_text(f"{seconds:+d}s")


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


async def test_a_clock_that_jumps_loses_nothing(single: Single, open_stream: OpenStream, clock: Clock, delivery: str) -> None:
    stream = await open_stream(single.address, delivery=delivery, environment=clock.environment)
    worker = await stream.worker().ready()
    stream.feed(500)
    await stream.until_found(20)
    # within what topics take, beyond it (an hour ahead), far beyond, and before its own past
    for seconds in (1800, 2 * HOUR, 40 * DAY, -3 * DAY, 0):
        clock.set(seconds)
        await asyncio.sleep(2.5)
        await stream.until_found(20)
        assert (await worker.get("/livez"))[0] == 200
    await stream.reckon()
    assert worker.running
    assert (await worker.get("/readyz"))[0] == 200
    assert "refuses our times" in worker.log.read_text(), "the clock was to be that wrong"


async def test_a_worker_that_starts_with_a_wrong_clock_takes_over_all_the_same(
    single: Single, open_stream: OpenStream, clock: Clock, delivery: str
) -> None:
    stream = await open_stream(single.address, delivery=delivery, environment=clock.environment)
    worker = await stream.worker().ready()
    stream.feed(500)
    await stream.until_found(20)
    for seconds in (2 * DAY, -2 * DAY):
        worker.kill()
        clock.set(seconds)
        await worker.start().ready()
        await stream.until_found(20)
    await stream.reckon()
    assert worker.running


async def test_records_of_any_time_are_read(single: Single, open_stream: OpenStream, delivery: str) -> None:
    stream = await open_stream(single.address, topics=False, delivery=delivery)
    await admin.create_topic(single.address, stream.events, message_timestamp_after_max_ms=str(2**63 - 1))
    await admin.create_topic(single.address, stream.alerts)
    await admin.create_topic(single.address, stream.letters)
    worker = await stream.worker().ready()
    for _ in range(5):
        for milliseconds in (-1, 0, 1, 10**12, 4 * 10**12, 10**15, 2**53, 2**62, 2**63 - 1):
            await stream.plant(timestamp_ms=milliseconds)
    await stream.produce(2_000)
    await stream.reckon()
    assert worker.running
    assert await worker.metric("sluice_consume_oldest_record_age_seconds") >= 0
