"""One alert a secret, on real brokers: a storm over several workers and restarts, validity, memory."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.brokers import Broker
from service import proof
from service.app import Service
from service.records import Validity
from service.settings import Repeats, Settings
from tests.integration.test_stream import produce, read, running, settings_for

pytestmark = pytest.mark.integration


def secret_of(service: Service) -> bytes:
    detector = next(d for d in service.detectors if d.id == "github-personal-access-token")
    return proof.secret_of(detector, random.Random())


def settings_of(broker: Broker, unique: str, **repeats: Any) -> Settings:
    return msgspec.structs.replace(settings_for(broker, unique), repeats=Repeats(**repeats))


async def alerts(broker: Broker, settings: Settings, least: int, **options: Any) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in await read(broker, settings.publish.topic, least, **options)]


async def alerts_until(broker: Broker, settings: Settings, occurrences: int, seconds: float = 90.0) -> list[dict[str, Any]]:
    """All alerts, once one tells of so many occurrences."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + seconds
    while not found or found[-1]["occurrences"] < occurrences:
        assert time.monotonic() < deadline, f"{len(found)} alerts, the last tells of {found and found[-1]['occurrences']}"
        found = await alerts(broker, settings, len(found) + 1, seconds=5.0)
    return found


async def test_a_repeated_secret_gives_one_alert_and_updates(broker: Broker, unique: str) -> None:
    settings = settings_of(broker, unique, update_interval_seconds=2.0)
    async with running(settings) as service:
        secret = secret_of(service)
        await produce(broker, settings.consume.topics[0], [b"token %s and %s" % (secret, secret)] * 3000)
        found = await alerts_until(broker, settings, 6000)
    assert [alert["update"] for alert in found] == list(range(len(found)))
    assert len(found) < 50
    assert len({alert["alert_id"] for alert in found}) == len(found)
    assert {alert["first_alert_id"] for alert in found} == {found[0]["alert_id"]}
    assert found[-1]["occurrences"] == 6000


async def test_what_is_known_outlives_the_worker(broker: Broker, unique: str) -> None:
    settings = settings_of(broker, unique, update_interval_seconds=3.0)
    async with running(settings) as service:
        secret = secret_of(service)
        await produce(broker, settings.consume.topics[0], [b"token " + secret] * 10)
        first, *_ = await alerts(broker, settings, 1)
    async with running(settings):
        await produce(broker, settings.consume.topics[0], [b"token " + secret] * 10)
        found = await alerts_until(broker, settings, 20)
    assert [alert["update"] for alert in found] == list(range(len(found)))
    assert {alert["first_alert_id"] for alert in found} == {first["alert_id"]}
    assert found[-1]["occurrences"] == 20


async def test_the_providers_word_updates_the_alert(broker: Broker, unique: str) -> None:
    settings = settings_of(broker, unique)
    async with running(settings) as service:
        secret = secret_of(service)
        await produce(broker, settings.consume.topics[0], [b"token " + secret])
        await alerts(broker, settings, 1)
        assert service.pipeline is not None
        service.pipeline.validity(service.fingerprint(secret), Validity.active, {"account": "acme"}, "GET /user answered 200")
        found = await alerts(broker, settings, 2)
    assert [(alert["update"], alert["validity"]) for alert in found] == [(0, "unchecked"), (1, "active")]
    assert found[1]["facts"]["account"] == "acme"


async def test_without_suppression_every_sighting_is_an_alert(broker: Broker, unique: str) -> None:
    settings = settings_of(broker, unique, enabled=False)
    async with running(settings) as service:
        secret = secret_of(service)
        await produce(broker, settings.consume.topics[0], [b"token " + secret] * 50)
        found = await alerts(broker, settings, 50)
    assert len(found) == len({alert["alert_id"] for alert in found}) == 50


@pytest.mark.parametrize("suppressed", [True, False])
async def test_what_is_kept_back_is_told_with_its_reason(
    embedded_broker: Broker, unique: str, tmp_path: Path, suppressed: bool
) -> None:
    settings = settings_of(embedded_broker, unique, enabled=suppressed)
    rng = random.Random(4)
    service = Service(settings)
    detector = next(d for d in service.detectors if d.id == "github-personal-access-token")
    listed, marked, judged, alerting = (proof.secret_of(detector, rng) for _ in range(4))
    allowing = tmp_path / "allow.toml"
    allowing.write_text(
        f'[[allow]]\nfingerprint = "{service.fingerprint(listed)}"\nowner = "ann"\nreason = "old"\nexpires = "never"\n'
    )
    publish = msgspec.structs.replace(settings.publish, audit_topic=f"audit-{unique}")
    verdicts = msgspec.structs.replace(settings.verdicts, topic=f"verdicts-{unique}")
    allow = msgspec.structs.replace(settings.allow, files=(str(allowing),))
    settings = msgspec.structs.replace(settings, publish=publish, verdicts=verdicts, allow=allow)
    async with running(settings) as service:
        service.verdicts.apply(service.fingerprint(judged).encode(), b'{"verdict": "accepted_risk", "by": "bob"}', 0.0)
        texts = [
            b'{"type": "code", "path": "a.py", "content": "TOKEN = \'%s\'"}' % listed,
            b'{"type": "code", "path": "b.py", "content": "TOKEN = \'%s\'  # sluice:allow"}' % marked,
            b'{"type": "code", "path": "c.py", "content": "TOKEN = \'%s\'"}' % judged,
            b'{"type": "code", "path": "d.py", "content": "TOKEN = \'ghp_%s\'"}' % (b"x" * 36),
            b'{"type": "code", "path": "e.py", "content": "TOKEN = \'%s\'"}' % alerting,
        ]
        await produce(embedded_broker, settings.consume.topics[0], texts)
        (alert,) = await alerts(embedded_broker, settings, 1)
        told = [json.loads(record.value) for record in await read(embedded_broker, f"audit-{unique}", 4)]
    assert alert["location"]["path"] == "e.py"
    reasons = {one["location"]["path"]: (one["reason"], one["clause"]) for one in told}
    assert {path: reason for path, (reason, _) in reasons.items()} == {
        "a.py": "allowed_by_list",
        "b.py": "allowed_inline",
        "c.py": "verdict_accepted_risk",
        "d.py": "placeholder",
    }
    assert "ann: old" in reasons["a.py"][1]
    assert {one["schema"] for one in told} == {"sluice.audit/1"}
    for secret in (listed, marked, judged):
        assert secret.decode() not in json.dumps(told)


def environment_of(settings: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "KAFKA_GROUP_ID": settings.kafka.group_id,
        "SLUICE_KAFKA__SESSION_TIMEOUT_MS": "6000",
        "SLUICE_KAFKA__HEARTBEAT_INTERVAL_MS": "1000",
        "SLUICE_CONSUME__DRAIN_TIMEOUT_MS": "3000",
        "SLUICE_CONSUME__COMMIT_INTERVAL_MS": "200",
        "SLUICE_CONSUME__TOPICS": settings.consume.topics[0],
        "SLUICE_PUBLISH__TOPIC": settings.publish.topic,
        "SLUICE_PUBLISH__DELIVERY": settings.publish.delivery,
        "SLUICE_PUBLISH__MIN_CONFIDENCE": "high",
        "SLUICE_REPEATS__UPDATE_INTERVAL_SECONDS": str(settings.repeats.update_interval_seconds),
        "SLUICE_DEAD_LETTERS__TOPIC": settings.dead_letters.topic,
        "SLUICE_FINGERPRINT__KEY": settings.fingerprint.key or "",
        "SLUICE_TELEMETRY__PORT": "0",
    }


class Workers:
    """Processes of one group; their common log is shown where a test fails."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._environment = environment_of(settings)
        self._log = log
        self.running: list[subprocess.Popen[bytes]] = []
        self._started = 0

    async def start(self, count: int = 1) -> None:
        self._started += count
        for _ in range(count):
            self._spawn()
        async with asyncio.timeout(60):
            while self._log.read_text().count("database ready") < self._started:  # until then signals end it at once
                await asyncio.sleep(0.1)

    def _spawn(self) -> None:
        with self._log.open("ab") as log:
            command = [sys.executable, "-m", "service", "run"]
            self.running.append(subprocess.Popen(command, env=self._environment, stdout=log, stderr=log))

    def kill(self, which: int) -> None:
        process = self.running.pop(which)
        process.kill()
        process.wait()

    def stop(self) -> None:
        for process in self.running:
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            assert process.wait(40) == 0, self._log.read_text()[-3000:]
        self.running.clear()


@contextmanager
def workers(settings: Settings, folder: Path) -> Iterator[Workers]:
    team = Workers(settings, folder / "workers.log")
    try:
        yield team
    finally:
        for process in team.running:
            process.kill()
            process.wait()


async def test_a_storm_over_four_workers_two_restarts_and_a_crash_is_one_alert(
    apache_kafka: Broker, unique: str, tmp_path: Path
) -> None:
    settings = settings_of(apache_kafka, unique, update_interval_seconds=5.0)
    service = Service(settings)
    secret, topic, total = secret_of(service), settings.consume.topics[0], 12_000
    line = b'{"type": "log", "host": "node-1", "message": "retrying with token %s"}' % secret
    with workers(settings, tmp_path) as team:
        await team.start(4)
        await produce(apache_kafka, topic, [line] * (total // 3))
        await alerts(apache_kafka, settings, 1, to_the_end=False)
        feeding = asyncio.create_task(produce(apache_kafka, topic, [line] * (total // 3)))
        team.kill(0)
        await team.start()
        await feeding
        await asyncio.to_thread(team.stop)
        feeding = asyncio.create_task(produce(apache_kafka, topic, [line] * (total // 3)))
        await team.start(4)
        await feeding
        found = await alerts_until(apache_kafka, settings, total, 240.0)
        await asyncio.to_thread(team.stop)
    assert {alert["secret"]["fingerprint"] for alert in found} == {service.fingerprint(secret)}
    firsts = {alert["alert_id"] for alert in found if alert["update"] == 0}
    assert len(firsts) == 1
    assert {alert["first_alert_id"] for alert in found} == firsts
    assert found[-1]["occurrences"] == max(alert["occurrences"] for alert in found) == total
    assert len(found) < 30
