"""Background tasks of the client library that end by what nobody expects: another client takes the place, nothing is lost."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from aiokafka.errors import KafkaError

from service.consume import clients
from service.consume.table import Table
from service.records import Record
from tests.integration.faults import admin
from tests.integration.faults.conftest import Single
from tests.integration.test_exactly_once import committed
from tests.integration.test_stream import leaks, produce, running, settings_for

pytestmark = pytest.mark.integration


def _fetching(consumer: Any) -> None:
    consumer._fetcher._fetch_task.cancel()


def _coordination(consumer: Any) -> None:
    async def unexpected() -> None:
        del consumer._coordinator.ensure_coordinator_known
        raise AssertionError

    consumer._coordinator.ensure_coordinator_known = unexpected
    consumer._coordinator.request_rejoin()


def _heartbeats(consumer: Any) -> None:
    async def unexpected() -> bool:
        raise KafkaError("of a new kind")

    consumer._coordinator._do_heartbeat = unexpected


@pytest.mark.parametrize("fell", [_fetching, _coordination, _heartbeats])
async def test_a_consumer_that_fell_is_replaced_and_nothing_is_lost(
    single: Single, unique: str, delivery: str, fell: Callable[[Any], None]
) -> None:
    settings = settings_for(single, unique)
    settings = msgspec.structs.replace(settings, publish=msgspec.structs.replace(settings.publish, delivery=delivery))
    topic = settings.consume.topics[0]
    async with running(settings) as service:
        made = leaks(service, 0, seed=7).records(4000)
        planted = Counter(service.fingerprint(one.leak.encode("latin-1")) for one in made if one.leak)
        await produce(single, topic, [one.value for one in made[:2000]])
        stages = service._stages
        fallen = [stage.source._consumer for stage in stages]
        for consumer in fallen:
            fell(consumer)
        await produce(single, topic, [one.value for one in made[2000:]])
        async with asyncio.timeout(60):
            while any(stage.source._consumer is former for stage, former in zip(stages, fallen, strict=True)):
                await asyncio.sleep(0.05)
            while not all(service.ready().values()):
                await asyncio.sleep(0.05)
        found = await committed(single, settings.publish.topic, planted.total(), 60.0)
        assert all(former._closed for former in fallen)
    seen = Counter(alert["secret"]["fingerprint"] for alert in found)
    if delivery == "exactly_once":
        assert seen == planted
    else:
        assert seen.keys() == planted.keys()
        assert len({alert["alert_id"] for alert in found}) == planted.total()


async def test_a_table_whose_consumer_fell_is_read_on(single: Single, unique: str) -> None:
    taken: list[Any] = []
    settings = settings_for(single, unique)

    def apply(record: Record) -> None:
        taken.append(json.loads(record.value or b"null"))

    table = Table(settings, unique, apply)
    await admin.create_topic(single.address, unique)
    await produce(single, unique, [b"1"])
    await table.start()
    following = asyncio.create_task(table.follow())
    try:
        async with asyncio.timeout(30):
            await table.read.wait()
            while 1 not in taken:
                await asyncio.sleep(0.05)
            _fetching(table._consumer)
            await produce(single, unique, [b"2"])
            while 2 not in taken:
                await asyncio.sleep(0.05)
    finally:
        following.cancel()
        await table.stop()


async def test_a_client_that_cannot_end_by_itself_is_cut_off(single: Single, unique: str) -> None:
    table = Table(settings_for(single, unique), unique, lambda record: None)
    await table.start()

    async def unexpected() -> None:
        raise RuntimeError

    table._consumer._coordinator.close = unexpected
    connections = list(table._consumer._client._conns.values())
    await clients.end(table._consumer)
    assert not any(connection.connected() for connection in connections)
    assert table._consumer._fetcher._fetch_task.done()
