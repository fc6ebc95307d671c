"""What an operator does to a cluster, asked of the broker itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Float64, Int8, Int16, Int32, Schema, String

TOPIC, CLUSTER_ACTION, WRITE, ALL = 2, 9, 4, 2
ALLOW, DENY = 3, 2
LITERAL = 3


@asynccontextmanager
async def client(address: str) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=20_000)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def create_topic(
    address: str, name: str, partitions: int = 4, replicas: int = 1, on: list[int] | None = None, **configs: str
) -> None:
    """Makes a topic; ``on`` names the nodes that hold it. Returns when every partition has a leader."""
    settings = {key.replace("_", "."): value for key, value in configs.items()}
    placed = dict.fromkeys(range(partitions), on) if on else None
    counts = (-1, -1) if on else (partitions, replicas)
    async with client(address) as admin:
        deadline = asyncio.get_running_loop().time() + 30
        while True:  # the name of a deleted topic is free only after a moment
            answer = await admin.create_topics([NewTopic(name, *counts, replica_assignments=placed, topic_configs=settings)])
            if answer.topic_errors[0][1] == 0:
                break
            assert asyncio.get_running_loop().time() < deadline, answer
            await asyncio.sleep(0.1)
    while len(await leaders(address, name)) < partitions:
        await asyncio.sleep(0.1)


async def delete_topic(address: str, name: str) -> None:
    async with client(address) as admin:
        answer = await admin.delete_topics([name])
        assert answer.topic_error_codes[0][1] == 0, answer


async def leaders(address: str, topic: str) -> dict[int, int]:
    """Partition to the node that leads it."""
    async with client(address) as admin:
        (found,) = await admin.describe_topics([topic])
        return {each["partition"]: each["leader"] for each in found["partitions"] if each["leader"] >= 0}


async def coordinator(address: str, key: str, transactional: bool = False) -> int:
    """The node that coordinates a group, or the transactions of an id."""
    async with client(address) as admin:
        node: int = await admin.find_coordinator(key, 1 if transactional else 0)
        return node


async def forbid_writing(address: str, topic: str) -> None:
    """Nobody may write to the topic, everybody may do all else with it."""
    async with client(address) as admin:
        for operation, permission in ((ALL, ALLOW), (WRITE, DENY)):
            request = CreateAclsRequest(TOPIC, topic, LITERAL, "User:ANONYMOUS", "*", operation, permission)
            answer = await admin._send_to_controller(request)
            assert answer.creation_responses[0][0] == 0, answer


async def allow_writing(address: str, topic: str) -> None:
    async with client(address) as admin:
        request = DeleteAclsRequest(TOPIC, topic, LITERAL, "User:ANONYMOUS", "*", WRITE, DENY)
        answer = await admin._send_to_controller(request)
        assert answer.filter_responses[0][0] == 0, answer


class _QuotaResponse(Response):
    API_KEY = 49
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "entries",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("entity", Array(("entity_type", String("utf-8")), ("entity_name", String("utf-8")))),
            ),
        ),
    )


class _QuotaStruct(RequestStruct):
    API_KEY = 49
    API_VERSION = 0
    RESPONSE_TYPE = _QuotaResponse
    SCHEMA = Schema(
        (
            "entries",
            Array(
                ("entity", Array(("entity_type", String("utf-8")), ("entity_name", String("utf-8")))),
                ("ops", Array(("key", String("utf-8")), ("value", Float64), ("remove", Boolean))),
            ),
        ),
        ("validate_only", Boolean),
    )


class _Quota(Request[_QuotaStruct]):
    API_KEY = 49

    def __init__(self, client_id: str, rate: float | None) -> None:
        self._client_id, self._rate = client_id, rate

    def build(self, request_struct_class: type[_QuotaStruct]) -> _QuotaStruct:
        operation = ("producer_byte_rate", self._rate or 0.0, self._rate is None)
        return request_struct_class([([("client-id", self._client_id)], [operation])], False)


async def throttle(address: str, client_id: str, bytes_per_second: float | None) -> None:
    """What a client may produce; the broker makes it wait for the answers. None: all it wants."""
    async with client(address) as admin:
        answer = await admin._send_to_controller(_Quota(client_id, bytes_per_second))
        assert answer.entries[0][0] == 0, answer


class _ElectResponse(Response):
    API_KEY = 43
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "topics",
            Array(
                ("topic", String("utf-8")),
                ("partitions", Array(("partition", Int32), ("error_code", Int16), ("error_message", String("utf-8")))),
            ),
        ),
    )


class _ElectStruct(RequestStruct):
    API_KEY = 43
    API_VERSION = 1
    RESPONSE_TYPE = _ElectResponse
    SCHEMA = Schema(
        ("election_type", Int8),
        ("topics", Array(("topic", String("utf-8")), ("partitions", Array(Int32)))),
        ("timeout_ms", Int32),
    )


class _Elect(Request[_ElectStruct]):
    API_KEY = 43

    def __init__(self, topic: str, partitions: list[int]) -> None:
        self._topic, self._partitions = topic, partitions

    def build(self, request_struct_class: type[_ElectStruct]) -> _ElectStruct:
        return request_struct_class(0, [(self._topic, self._partitions)], 10_000)


async def elect_preferred(address: str, topic: str) -> None:
    """Each partition is led by the first of its replicas again, where that is in step."""
    async with client(address) as admin:
        await admin._send_to_controller(_Elect(topic, list((await leaders(address, topic)).keys())))
