"""The whole stream on real brokers: what is planted is found, nothing else, nothing lost."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.brokers import Broker
from service import proof
from service.app import Service
from service.settings import Consume, DeadLetters, Detect, Fingerprint, Kafka, Publish, Repeats, Settings, Telemetry
from service.sources.generator import Generator

pytestmark = pytest.mark.integration


_FOLDER = Path(sysconfig.get_path("stdlib"))
STANDARD_LIBRARY = [path for folder in ("", "asyncio", "email") for path in sorted((_FOLDER / folder).glob("*.py"))]


LEAKING = (
    "github-personal-access-token",
    "gitlab-personal-access-token",
    "slack-bot-token",
    "npm-access-token",
    "grafana-service-account-token",
    "sendgrid-api-key",
)


def settings_for(broker: Broker, unique: str, **consume: Any) -> Settings:
    return Settings(
        kafka=Kafka(
            bootstrap_servers=broker.address,
            group_id=f"group-{unique}",
            idempotence=broker.idempotence,
            session_timeout_ms=broker.session_timeout_ms,
            heartbeat_interval_ms=broker.session_timeout_ms // 4,
        ),
        consume=Consume(topics=(f"events-{unique}",), drain_timeout_ms=3000, fetch_max_wait_ms=20, **consume),
        publish=Publish(topic=f"alerts-{unique}", min_confidence="high"),
        dead_letters=DeadLetters(topic=f"dead-{unique}"),
        fingerprint=Fingerprint(key="a key for tests, and only for them"),
        telemetry=Telemetry(port=0),
    )


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Service]:
    service = Service(settings)
    task = asyncio.create_task(service.run())
    try:
        deadline = time.monotonic() + 60
        while not all(service.ready().values()):
            assert time.monotonic() < deadline, service.ready()
            if task.done():
                task.result()
            await asyncio.sleep(0.05)
        yield service
    finally:
        service.stop()
        await asyncio.wait_for(task, 30)


async def produce(broker: Broker, topic: str, values: list[bytes], **options: Any) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.address, enable_idempotence=False, max_request_size=130_000_000, linger_ms=5, **options
    )
    await producer.start()
    try:
        for value in values:
            await producer.send(topic, value)
        await producer.flush()
    finally:
        await producer.stop()


async def read(broker: Broker, topic: str, least: int, seconds: float = 40.0, to_the_end: bool = True) -> list[Any]:
    """What is in a topic, once at least so many records are in it and, if to the end, no more come."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=broker.address, auto_offset_reset="earliest", fetch_max_wait_ms=50)
    await consumer.start()
    found: list[Any] = []
    deadline = time.monotonic() + seconds
    try:
        while time.monotonic() < deadline:
            batch = [r for records in (await consumer.getmany(timeout_ms=600)).values() for r in records]
            found += batch
            if len(found) >= least and not (batch and to_the_end):
                break
    finally:
        await consumer.stop()
    return found


def leaks(service: Service, count: int, seed: int) -> Generator:
    chosen = [detector for detector in service.detectors if detector.id in LEAKING]
    assert len(chosen) == len(LEAKING)

    def make(rng: random.Random) -> tuple[str, str]:
        detector = rng.choice(chosen)
        secret = proof.secret_of(detector, rng)
        return f"key={secret.decode('latin-1')}", secret.decode("latin-1")

    return Generator(make, leak_ratio=0.02, seed=seed)


@pytest.mark.parametrize("compression", [None, "gzip", "zstd", "lz4", "snappy"])
async def test_planted_leaks_become_alerts_and_nothing_else_does(broker: Broker, unique: str, compression: str | None) -> None:
    settings = settings_for(broker, unique)
    async with running(settings) as service:
        made = leaks(service, 3000, seed=7).records(3000)
        await produce(broker, settings.consume.topics[0], [m.value for m in made], compression_type=compression)
        planted = [m for m in made if m.leak]
        alerts = await read(broker, settings.publish.topic, len(planted))
        documents = [json.loads(record.value) for record in alerts]

    fingerprints = {service.fingerprint(m.leak.encode("latin-1")) for m in planted if m.leak}
    assert {document["secret"]["fingerprint"] for document in documents} == fingerprints
    assert len(documents) == len(planted)
    for record, document in zip(alerts, documents, strict=True):
        assert record.key.decode() == document["secret"]["fingerprint"]
        assert document["schema"] == "sluice.alert/1"
        assert not any(m.leak in record.value.decode() for m in planted if m.leak)


async def test_files_of_the_standard_library_hold_just_what_is_planted(broker: Broker, unique: str) -> None:
    settings = settings_for(broker, unique)
    paths = STANDARD_LIBRARY
    async with running(settings) as service:
        rng = random.Random(3)
        detector = next(d for d in service.detectors if d.id == "github-personal-access-token")
        secrets = {}
        values = []
        for path in paths:
            content = path.read_text("utf-8", "replace")
            if rng.random() < 0.1:
                secret = proof.secret_of(detector, rng)
                lines = content.split("\n")
                line = rng.randrange(len(lines))
                lines.insert(line, f'TOKEN = "{secret.decode()}"')
                content = "\n".join(lines)
                secrets[str(path)] = (secret, line + 1)
            values.append(json.dumps({"type": "code", "path": str(path), "content": content}).encode())
        await produce(broker, settings.consume.topics[0], values)
        documents = [json.loads(r.value) for r in await read(broker, settings.publish.topic, len(secrets))]

    found = {d["location"]["path"]: (d["secret"]["fingerprint"], d["location"]["line"]) for d in documents}
    assert found == {path: (service.fingerprint(secret), line) for path, (secret, line) in secrets.items()}


async def test_offsets_are_committed_after_delivery_and_on_shutdown(broker: Broker, unique: str) -> None:
    settings = settings_for(broker, unique)
    topic = settings.consume.topics[0]
    async with running(settings) as service:
        made = leaks(service, 500, seed=9).records(500)
        await produce(broker, topic, [m.value for m in made])
        await read(broker, settings.publish.topic, sum(m.leak is not None for m in made))

    async with running(settings):
        await produce(broker, topic, [b"the end"])
        await asyncio.sleep(2.0)
        again = await read(broker, settings.publish.topic, 1)

    assert len(again) == sum(m.leak is not None for m in made)


DETECTOR = """
provider = "Acme"
[[secret]]
id = "acme-token"
name = "Acme token"
severity = "high"
expression = 'acmetok_[A-Za-z0-9]{32}'
examples = ["ACME_TOKEN={secret}"]
"""


async def test_detectors_of_ones_own_come_in_without_a_pause(embedded_broker: Broker, unique: str, tmp_path: Path) -> None:
    (tmp_path / "cloud").mkdir()
    settings = settings_for(embedded_broker, unique)
    settings = msgspec.structs.replace(settings, detect=Detect(folders=(str(tmp_path),), watch_interval_ms=100))
    secret = "acmetok_" + "".join(random.Random(8).choices("ABCDEFGHJKMNPQRSTUVWXYZabcdefghkmnpqrstuvwxyz23456789", k=32))
    async with running(settings) as service:
        (tmp_path / "cloud" / "acme.toml").write_text(DETECTOR)
        deadline = time.monotonic() + 90
        longest, last = 0.0, time.monotonic()
        while not any(detector.id == "acme-token" for detector in service.detectors):
            await asyncio.sleep(0.005)
            now = time.monotonic()
            longest, last = max(longest, now - last), now
            assert now < deadline
        (tmp_path / "cloud" / "acme.toml").write_text("provider = ")
        await produce(embedded_broker, settings.consume.topics[0], [f"ACME_TOKEN={secret}".encode()])
        documents = [json.loads(r.value) for r in await read(embedded_broker, settings.publish.topic, 1)]
        await asyncio.sleep(1.0)

        assert [document["detector"]["id"] for document in documents] == ["acme-token"]
        assert any(detector.id == "acme-token" for detector in service.detectors), "a wrong file changes nothing"
        print(f"the loop stood still for at most {1000 * longest:.0f} ms")


async def test_hostile_records_are_survived(apache_kafka: Broker, unique: str) -> None:
    settings = settings_for(apache_kafka, unique, max_partition_fetch_bytes=1 << 20)
    settings = msgspec.structs.replace(settings, repeats=Repeats(enabled=False))
    rng = random.Random(5)
    topic = settings.consume.topics[0]
    async with running(settings) as service:
        detector = next(d for d in service.detectors if d.id == "github-personal-access-token")
        secret = proof.secret_of(detector, rng)
        many = b" ".join(b"%s%036d" % (b"ghp_", n) for n in range(300_000))
        values = [
            b"\xff\xfe\xfd" + secret + b"\x80",
            b'{"type": "code", "content": "' + secret,
            b"[" * 200_000 + secret,
            many,
            b"x" * 100_000_000 + b" " + secret,
            b"",
        ]
        await produce(apache_kafka, topic, values)
        await produce(apache_kafka, topic, [b"last " + secret])
        documents = [json.loads(r.value) for r in await read(apache_kafka, settings.publish.topic, 5, 90.0)]

    assert sum(d["secret"]["fingerprint"] == service.fingerprint(secret) for d in documents) == 5


async def test_a_bomb_goes_to_the_dead_letters_with_its_reason(apache_kafka: Broker, unique: str) -> None:
    import gzip

    settings = settings_for(apache_kafka, unique)
    async with running(settings):
        bomb = gzip.compress(b"\0" * 200_000_000)
        await produce(apache_kafka, settings.consume.topics[0], [bomb])
        letters = await read(apache_kafka, settings.dead_letters.topic, 1)

    headers = {name: value.decode() for name, value in letters[0].headers}
    assert headers["sluice.reason"] == "decompression_limit"
    assert headers["sluice.topic"] == settings.consume.topics[0]
    assert letters[0].value == bomb


async def test_a_killed_service_loses_no_alert(apache_kafka: Broker, unique: str, tmp_path: Path) -> None:
    settings = settings_for(apache_kafka, unique)
    topic = settings.consume.topics[0]
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": apache_kafka.address,
        "KAFKA_GROUP_ID": settings.kafka.group_id,
        "SLUICE_KAFKA__SESSION_TIMEOUT_MS": "6000",
        "SLUICE_KAFKA__HEARTBEAT_INTERVAL_MS": "1000",
        "SLUICE_CONSUME__DRAIN_TIMEOUT_MS": "3000",
        "SLUICE_CONSUME__TOPICS": topic,
        "SLUICE_PUBLISH__TOPIC": settings.publish.topic,
        "SLUICE_PUBLISH__MIN_CONFIDENCE": "high",
        "SLUICE_DEAD_LETTERS__TOPIC": settings.dead_letters.topic,
        "SLUICE_FINGERPRINT__KEY": settings.fingerprint.key or "",
        "SLUICE_TELEMETRY__PORT": "0",
    }
    service = Service(settings)
    made = leaks(service, 0, seed=11).records(100_000)
    planted = {service.fingerprint(m.leak.encode("latin-1")) for m in made if m.leak}
    await produce(apache_kafka, topic, [m.value for m in made[:30_000]])

    def start() -> subprocess.Popen[bytes]:
        log = (tmp_path / "service.log").open("ab")
        return subprocess.Popen([sys.executable, "-m", "service", "run"], env=environment, stdout=log, stderr=log)

    first = start()
    second: subprocess.Popen[bytes] | None = None
    try:
        feeding = asyncio.create_task(produce(apache_kafka, topic, [m.value for m in made[30_000:]]))
        before = await read(apache_kafka, settings.publish.topic, 200, to_the_end=False)
        first.kill()
        first.wait()
        second = start()
        await feeding
        alerts = await read(apache_kafka, settings.publish.topic, len(planted), 120.0)
    finally:
        for process in (first, second):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0

    assert len(before) < len(planted), "it was to be killed in the middle"
    documents = [json.loads(record.value) for record in alerts]
    assert planted == {document["secret"]["fingerprint"] for document in documents}
    by_id: dict[str, set[str]] = {}
    for document in documents:  # repeats after the crash carry the same id
        by_id.setdefault(document["alert_id"], set()).add(document["secret"]["fingerprint"])
    assert all(len(same) == 1 for same in by_id.values())


async def test_what_is_committed_is_what_comes_next(apache_kafka: Broker, unique: str) -> None:
    settings = settings_for(apache_kafka, unique)
    topic = settings.consume.topics[0]
    async with running(settings):
        await produce(apache_kafka, topic, [b"clean %d" % n for n in range(1000)])
        await asyncio.sleep(2.5)
    consumer = AIOKafkaConsumer(bootstrap_servers=apache_kafka.address, group_id=settings.kafka.group_id)
    await consumer.start()
    try:
        await consumer.topics()
        partitions = [TopicPartition(topic, number) for number in range(4)]
        ends = await consumer.end_offsets(partitions)
        committed = {tp: await consumer.committed(tp) or 0 for tp in partitions}
    finally:
        await consumer.stop()

    assert sum(ends.values()) == 1000
    assert committed == ends
