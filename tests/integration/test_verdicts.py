"""Verdicts on real brokers: written with the command, obeyed by every worker within a second."""

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Callable
from datetime import datetime

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from benchmarks.brokers import Broker
from service import proof
from service.app import Service
from service.settings import Settings, Verdicts
from tests.integration.test_stream import produce, read, running, settings_for

pytestmark = pytest.mark.integration


async def sluice(broker: Broker, settings: Settings, *arguments: str, stdin: bytes = b"") -> str:
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": broker.address,
        "SLUICE_KAFKA__IDEMPOTENCE": str(broker.idempotence).lower(),
        "SLUICE_CONSUME__FETCH_MAX_WAIT_MS": "20",
        "KAFKA_GROUP_ID": settings.kafka.group_id,
        "SLUICE_VERDICTS__TOPIC": settings.verdicts.topic,
        "SLUICE_FINGERPRINT__KEY": settings.fingerprint.key or "",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service",
        "verdict",
        *arguments,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(stdin), 30)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.01)


def with_verdicts(broker: Broker, unique: str) -> Settings:
    return msgspec.structs.replace(settings_for(broker, unique), verdicts=Verdicts(topic=f"verdicts-{unique}"))


def secrets_of(service: Service, count: int) -> list[bytes]:
    detector = next(d for d in service.detectors if d.id == "github-personal-access-token")
    rng = random.Random(17)
    return [proof.secret_of(detector, rng) for _ in range(count)]


async def test_a_verdict_silences_a_secret_on_all_workers_within_a_second(broker: Broker, unique: str) -> None:
    settings = with_verdicts(broker, unique)
    async with running(settings) as one, running(settings) as two:
        silenced, alerting = secrets_of(one, 2)
        fingerprint = one.fingerprint(silenced)
        told = await sluice(broker, settings, "-", "false_positive", "--reason", "a test", "--by", "ann", stdin=silenced)
        written = time.time()
        assert told == f"{fingerprint}  false_positive\n"
        await until(lambda: bool(one.verdicts.of(fingerprint, written) and two.verdicts.of(fingerprint, written)), 20.0)
        print(f"obeyed by both workers {1000 * (time.time() - written):.0f} ms after the command ended")
        await produce(broker, settings.consume.topics[0], [b"token " + silenced] * 20 + [b"token " + alerting])
        documents = [json.loads(r.value) for r in await read(broker, settings.publish.topic, 1)]
        assert {document["secret"]["fingerprint"] for document in documents} == {one.fingerprint(alerting)}
        (listed,) = json.loads(await sluice(broker, settings, "--list", "--format", "json"))
        assert written < datetime.fromisoformat(listed["last_silenced"]).timestamp() < time.time()

        await sluice(broker, settings, fingerprint, "true_positive", "--by", "bob", "--reason", "it is ours")
        await until(lambda: bool((held := one.verdicts.of(fingerprint, written)) and held.by == "bob"), 20.0)
        await produce(broker, settings.consume.topics[0], [b"token " + silenced])
        documents = [json.loads(r.value) for r in await read(broker, settings.publish.topic, 2)]
        last = next(d for d in documents if d["secret"]["fingerprint"] == fingerprint)
        assert last["verdict"]["verdict"] == "true_positive"
        assert last["verdict"]["by"] == "bob"


async def test_verdicts_are_listed_removed_and_known_to_a_worker_that_starts_later(broker: Broker, unique: str) -> None:
    settings = with_verdicts(broker, unique)
    kept, removed = "0a" * 32, "0b" * 32
    await sluice(broker, settings, kept, "accepted_risk", "--until", "2999-01-01", "--by", "ann", "--reason", "old")
    await sluice(broker, settings, removed, "revoked")
    await sluice(broker, settings, removed, "--remove")
    producer = AIOKafkaProducer(bootstrap_servers=broker.address)
    async with producer:
        await producer.send_and_wait(settings.verdicts.topic, b"this is no verdict", b"nor is this a fingerprint")

    listed = json.loads(await sluice(broker, settings, "--list", "--format", "json"))
    assert [(row["fingerprint"], row["verdict"], row["by"], row["reason"]) for row in listed] == [
        (kept, "accepted_risk", "ann", "old")
    ]
    assert listed[0]["last_silenced"] is None
    async with running(settings) as service:
        assert service.verdicts.of(kept, time.time())
        assert service.verdicts.of(removed, time.time()) is None
        assert service.metrics.value("sluice_publish_verdicts_refused_total") == 1
