"""``sluice doctor`` on a real broker: what it finds there, and that it changes nothing unless it is told to."""

import asyncio
import json
import os
import secrets
import sys
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.protocol.admin import CreateAclsRequest

from benchmarks.brokers import Broker
from tests.integration.guarded import GuardedKafka
from tests.integration.test_doors import account, guarded, tls

__all__ = ["guarded"]

pytestmark = pytest.mark.integration


async def examined(
    address: str, unique: str, *arguments: str, **environment: str
) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit status, and the findings by area."""
    fixed = {
        "KAFKA_BOOTSTRAP_SERVERS": address,
        "KAFKA_GROUP_ID": f"group-{unique}",
        "SLUICE_CONSUME__TOPICS": f"events-{unique}",
        "SLUICE_PUBLISH__TOPIC": f"alerts-{unique}",
        "SLUICE_DEAD_LETTERS__TOPIC": f"dead-{unique}",
        "SLUICE_VERDICTS__TOPIC": f"verdicts-{unique}",
        "SLUICE_FINGERPRINT__KEY": secrets.token_hex(32),
        "SLUICE_TELEMETRY__PORT": "0",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service", "doctor", "--format", "json", *arguments),
        env={**os.environ, **fixed, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert err == b""
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(out)["findings"]:
        found.setdefault(finding["area"], []).append(finding)
    return process.returncode or 0, found


def states(findings: list[dict[str, Any]]) -> set[str]:
    return {finding["state"] for finding in findings}


async def make(address: str, **topics: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(name, 2, 1, topic_configs=config) for name, config in topics.items()])
    await admin.close()


async def names(address: str) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    found = set(await admin.list_topics())
    await admin.close()
    return found


async def test_a_new_cluster_is_well_and_stays_as_it_is(apache_kafka: Broker, unique: str) -> None:
    before = await names(apache_kafka.address)

    status, found = await examined(apache_kafka.address, unique)

    assert status == 0, found
    assert all("it is made at the start" in finding["what"] for finding in found["topics"])
    assert len(found["topics"]) == 6
    assert [finding["what"] for finding in found["group"]] == [
        f"group-{unique}: not there yet, 0 members",
        f"group-{unique}-repeats: not there yet, 0 members",
    ]
    assert {name for name in await names(apache_kafka.address) if unique in name} == set()
    assert before <= await names(apache_kafka.address)


async def test_topics_that_would_lose_something_are_told(apache_kafka: Broker, unique: str) -> None:
    topics = {
        f"events-{unique}": {"max.message.bytes": "50000000"},
        f"alerts-{unique}": {"cleanup.policy": "compact"},
        f"dead-{unique}": {"max.message.bytes": "1000000", "min.insync.replicas": "2"},
        f"verdicts-{unique}": {"cleanup.policy": "delete"},
    }
    await make(apache_kafka.address, **topics)

    status, found = await examined(apache_kafka.address, unique, SLUICE_KAFKA__SESSION_TIMEOUT_MS="3000000")

    told = " | ".join(f"{finding['state']} {finding['what']}" for finding in found["topics"])
    assert status == 2
    assert f"warn alerts-{unique} is compacted" in told
    assert f"warn verdicts-{unique} forgets in time" in told
    assert f"warn dead-{unique} takes 1,000,000 bytes, the events have up to 50,000,000" in told
    assert f"fail dead-{unique} has 1 replicas, and writing needs 2" in told
    assert f"ok events-{unique}: 2 partitions, 1 replicas" in told
    assert any("kafka.session_timeout_ms = 3000000, the broker takes" in finding["what"] for finding in found["group"])


async def test_a_topic_that_may_not_be_made_is_told(apache_kafka: Broker, unique: str) -> None:
    status, found = await examined(apache_kafka.address, unique, SLUICE_CONSUME__CREATE_TOPICS="false")

    assert status == 2
    assert states(found["topics"]) == {"fail"}


async def test_clocks_are_compared_when_it_may_write_and_nothing_is_left(apache_kafka: Broker, unique: str) -> None:
    status, found = await examined(apache_kafka.address, unique, "--write")

    assert status == 0
    assert "of the broker's" in found["clock"][0]["what"]
    assert not any(name.startswith("sluice-doctor-") for name in await names(apache_kafka.address))


async def test_a_record_of_a_time_to_come_is_told(apache_kafka: Broker, unique: str) -> None:
    await make(apache_kafka.address, **{f"events-{unique}": {}})
    producer = AIOKafkaProducer(bootstrap_servers=apache_kafka.address)
    await producer.start()
    ahead = int((time.time() + 600) * 1000)
    await producer.send_and_wait(f"events-{unique}", b"early", timestamp_ms=ahead)
    await producer.stop()

    status, found = await examined(apache_kafka.address, unique)

    assert status == 1
    assert "600 s from now" in found["clock"][0]["what"] or "59" in found["clock"][0]["what"]


def environment(keys: dict[str, Any]) -> dict[str, str]:
    return {f"SLUICE_KAFKA__{key.upper()}": str(value) for key, value in keys.items()}


async def test_a_certificate_that_ends_soon_is_told(guarded: GuardedKafka, unique: str) -> None:
    status, found = await examined(guarded.at("TLS"), unique, **environment(tls(guarded)))

    assert "its certificate ends in 20 days" in found["broker"][0]["what"]
    assert found["broker"][0]["state"] == "warn"
    assert status == 1


async def test_rights_that_are_missing_are_told_one_by_one(guarded: GuardedKafka, unique: str) -> None:
    """An account that may read the events and nothing else."""
    await make(guarded.address, **{f"events-{unique}": {}, f"alerts-{unique}": {}})
    await grant(guarded, unique)
    keys = {**tls(guarded, "SASL"), **account(guarded, "SCRAM-SHA-256", "carol")}

    status, found = await examined(guarded.at("SASL"), unique, **environment(keys))

    told = {finding["what"]: finding for finding in found["topics"]}
    assert status == 2
    assert told[f"events-{unique}: 2 partitions, 1 replicas"]["state"] == "ok"
    assert told[f"alerts-{unique}: we may not WRITE"]["advice"] == "grant us WRITE on it"
    assert told[f"dead-{unique}: we may not even DESCRIBE it"]["state"] == "fail"
    assert found["group"][0]["what"] == f"group-{unique}: we may not join it"
    assert guarded.passwords["carol"] not in json.dumps(found)


async def grant(broker: GuardedKafka, unique: str) -> None:
    topic, literal, read, describe, allow = 2, 3, 3, 8, 3  # as the protocol numbers them
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    for name, operation in ((f"events-{unique}", read), (f"alerts-{unique}", describe)):
        request = CreateAclsRequest(topic, name, literal, "User:carol", "*", operation, allow)
        answer = await admin._send_request(request)
        assert [code for code, *_ in answer.creation_responses] == [0]
    await admin.close()
