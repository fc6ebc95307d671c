"""What becomes of the library's tasks that meet what they did not expect."""

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupLoadInProgressError, KafkaError, NotCoordinatorForGroupError
from aiokafka.protocol.commit import OffsetFetchResponse_v3

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
    first = AIOKafkaClient._md_synchronizer, GroupCoordinator._send_req
    clients.install()
    assert first == (AIOKafkaClient._md_synchronizer, GroupCoordinator._send_req)


class _Moved:
    """A broker that is asked for offsets of a group that it has not, or not yet."""

    def __init__(self, error: type[KafkaError]) -> None:
        self._error = error

    async def send(self, *_: Any, **__: Any) -> OffsetFetchResponse_v3:
        return OffsetFetchResponse_v3(0, [], self._error.errno)


@pytest.mark.parametrize(("error", "known"), [(NotCoordinatorForGroupError, None), (GroupLoadInProgressError, 1)])
async def test_a_coordinator_that_moved_does_not_say_that_nothing_was_committed(
    error: type[KafkaError], known: int | None
) -> None:
    clients.install()
    coordinator = GroupCoordinator.__new__(GroupCoordinator)  # without its tasks
    coordinator._client, coordinator.group_id, coordinator.coordinator_id = _Moved(error), "group", 1
    coordinator._coordinator_dead_fut = asyncio.get_running_loop().create_future()
    with pytest.raises(error):
        await coordinator._do_fetch_commit_offsets([TopicPartition("events", 0)])
    assert coordinator.coordinator_id == known


async def test_a_fault_where_the_library_calls_us_is_raised_by_the_next_poll() -> None:
    async def drain() -> None:
        raise ZeroDivisionError

    source = Source(Settings(), Offsets(), Metrics(), drain)
    with pytest.raises(ZeroDivisionError):  # which the library only logs
        await source.on_partitions_revoked({TopicPartition("events", 0)})
    with pytest.raises(ZeroDivisionError):
        await source.poll()
