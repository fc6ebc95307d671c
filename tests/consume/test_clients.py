"""What becomes of the library's tasks that meet what they did not expect."""

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient

from service.consume import clients
from service.consume.offsets import Offsets
from service.consume.source import Source
from service.settings import Settings
from service.telemetry.metrics import Metrics


async def test_metadata_are_kept_up_whatever_an_attempt_raises() -> None:
    clients.install()
    client = AIOKafkaClient(retry_backoff_ms=1)
    attempts = 0

    async def update(*_: Any) -> bool:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise RuntimeError("nobody expects this")
        return True

    client._metadata_update = update
    client._sync_task = asyncio.create_task(client._md_synchronizer())
    async with asyncio.timeout(5):
        assert await client.force_metadata_update()
        await client.close()
    assert attempts == 2


async def test_it_is_put_in_place_once() -> None:
    clients.install()
    first = AIOKafkaClient._md_synchronizer
    clients.install()
    assert AIOKafkaClient._md_synchronizer is first


async def test_a_fault_where_the_library_calls_us_is_raised_by_the_next_poll() -> None:
    async def drain() -> None:
        raise ZeroDivisionError

    source = Source(Settings(), Offsets(), Metrics(), drain)
    with pytest.raises(ZeroDivisionError):  # which the library only logs
        await source.on_partitions_revoked({TopicPartition("events", 0)})
    with pytest.raises(ZeroDivisionError):
        await source.poll()
