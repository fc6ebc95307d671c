"""Topics that go and come back."""

import asyncio
import signal

import pytest

from tests.integration.faults import admin
from tests.integration.faults.conftest import OpenStream, Single

pytestmark = pytest.mark.integration


async def test_a_topic_deleted_and_made_anew_is_read_from_its_beginning(
    single: Single, open_stream: OpenStream, delivery: str
) -> None:
    stream = await open_stream(single.address, delivery=delivery)
    worker = stream.worker()
    await stream.produce(3000)
    await worker.ready()
    await stream.until_all_found()
    await asyncio.sleep(1.0)  # and what was found is committed
    await admin.delete_topic(single.address, stream.events)
    await admin.create_topic(single.address, stream.events)
    stream.begin_anew()
    await stream.produce(5000)  # more than before: the old positions lie within
    await stream.reckon()
    assert worker.running


@pytest.mark.long
async def test_a_topic_made_anew_while_no_worker_runs_is_read_from_its_beginning(
    single: Single, open_stream: OpenStream, delivery: str
) -> None:
    stream = await open_stream(single.address, delivery=delivery)
    worker = stream.worker()
    await stream.produce(3000)
    await worker.ready()
    await stream.until_all_found()
    assert await worker.stop() == 0
    await admin.delete_topic(single.address, stream.events)
    await admin.create_topic(single.address, stream.events)
    stream.begin_anew()
    await stream.produce(5000)
    await worker.start().ready()
    await stream.reckon()


async def test_alerts_wait_for_a_topic_that_is_deleted_and_made_anew(
    single: Single, open_stream: OpenStream, delivery: str
) -> None:
    stream = await open_stream(single.address, delivery=delivery)
    worker = stream.worker()
    await stream.produce(2000)
    await worker.ready()
    await stream.until_all_found()
    await admin.delete_topic(single.address, stream.alerts)
    await stream.produce(2000)
    await asyncio.sleep(3.0)
    await admin.create_topic(single.address, stream.alerts)
    await stream.reckon()
    assert worker.running


async def test_a_topic_made_anew_while_a_worker_looks_away_is_read_from_its_beginning(
    single: Single, open_stream: OpenStream, delivery: str
) -> None:
    stream = await open_stream(single.address, delivery=delivery)
    worker = stream.worker()
    await stream.produce(3000)
    await worker.ready()
    await stream.until_all_found()
    await asyncio.sleep(1.0)
    worker.signal(signal.SIGSTOP)  # shorter than its session: it sees the topic before and after, and never without
    await admin.delete_topic(single.address, stream.events)
    await admin.create_topic(single.address, stream.events)
    stream.begin_anew()
    await stream.produce(5000)
    worker.signal(signal.SIGCONT)
    await stream.reckon()
    assert worker.running
