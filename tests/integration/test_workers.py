"""Several workers under one supervisor, on a real broker: killed, replaced, given more partitions; seen as one."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.brokers import Broker
from service import app, proof
from service.publish.fingerprint import Fingerprinter
from service.records import Secret
from service.sources.embedded_broker import free_port
from tests.integration.test_stream import produce, read

pytestmark = pytest.mark.integration

KEY = "a key for tests, and only for them"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Team:
    """A supervisor of two, and what it shows."""

    def __init__(self, broker: Broker, unique: str, folder: Path, **settings: str) -> None:
        self.broker = broker
        self.events, self.alerts, self.group = f"events-{unique}", f"alerts-{unique}", f"group-{unique}"
        self.port = free_port()
        self.log = folder / "service.log"
        self.config = folder / "sluice.toml"
        self.config.write_text("")
        self._environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": broker.address,
            "KAFKA_GROUP_ID": self.group,
            "SLUICE_KAFKA__METADATA_MAX_AGE_MS": "1000",
            "SLUICE_CONSUME__TOPICS": self.events,
            "SLUICE_CONSUME__FETCH_MAX_WAIT_MS": "20",
            "SLUICE_PUBLISH__TOPIC": self.alerts,
            "SLUICE_DEAD_LETTERS__TOPIC": f"dead-{unique}",
            "SLUICE_FINGERPRINT__KEY": KEY,
            "SLUICE_TELEMETRY__PORT": str(self.port),
            **settings,
        }
        self._session = aiohttp.ClientSession(f"http://127.0.0.1:{self.port}")
        self.process: subprocess.Popen[bytes] | None = None
        self._secrets = random.Random(unique)
        self._detector = next(d for d in app.load_database()[0].detectors if d.id == "github-personal-access-token")
        self.planted: list[str] = []

    def start(self, before: str = "pass") -> None:
        """Starts the supervisor; ``before`` is done in it first."""
        arguments = ["run", "--workers", "2", "--config", str(self.config)]
        program = f"import sys; from service.cli import main; {before}; sys.exit(main({arguments!r}))"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", program], env=self._environment, stdout=log, stderr=log)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def close(self) -> None:
        await self._session.close()
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGTERM)
            assert await asyncio.to_thread(self.process.wait, 40) == 0

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def told(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["event"] == event]

    def pids(self) -> dict[int, int]:
        """The process of each worker that was started last."""
        return {line["worker"]: line["pid"] for line in self.told("worker starting")}

    async def get(self, path: str) -> tuple[int, Any]:
        try:
            async with self._session.get(path) as answer:
                return answer.status, await answer.json()
        except aiohttp.ClientError:
            return 0, {}

    async def ready(self, seconds: float = 90.0) -> dict[str, bool]:
        async def is_ready() -> bool:
            return (await self.get("/readyz"))[0] == 200

        await self.until(is_ready, seconds)
        claims: dict[str, bool] = (await self.get("/readyz"))[1]["claims"]
        return claims

    async def until(self, holds: Any, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not await holds():
            assert self.process is None or self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            await asyncio.sleep(0.1)

    async def metrics(self) -> Samples:
        async with self._session.get("/metrics") as answer:
            text = await answer.text()
        families = text_string_to_metric_families(text)
        return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}

    async def total(self, name: str, **labels: str) -> float:
        found = await self.metrics()
        return sum(value for (sample, of), value in found.items() if sample == name and set(labels.items()) <= set(of))

    def leaks(self, count: int) -> list[bytes]:
        made = []
        for _ in range(count):
            secret = proof.secret_of(self._detector, self._secrets)
            self.planted.append(Fingerprinter(KEY.encode()).secret(Secret(secret)))
            made.append(b"TOKEN=" + secret)
        return made

    async def send(self, values: list[bytes]) -> None:
        await produce(self.broker, self.events, values)

    async def found(self) -> list[str]:
        """The fingerprints of all alerts, in their order."""
        alerts = await read(self.broker, self.alerts, len(set(self.planted)), 60.0)
        return [json.loads(record.value)["secret"]["fingerprint"] for record in alerts]


@asynccontextmanager
async def team_of(broker: Broker, unique: str, folder: Path, **settings: str) -> AsyncIterator[Team]:
    team = Team(broker, unique, folder, **settings)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    await admin.create_topics([NewTopic(team.events, 4, 1), NewTopic(team.alerts, 1, 1)])
    await admin.close()
    team.start()
    try:
        await team.ready()
        yield team
    finally:
        await team.close()


async def test_two_workers_share_the_work_and_are_seen_as_one(apache_kafka: Broker, unique: str, tmp_path: Path) -> None:
    async with team_of(apache_kafka, unique, tmp_path) as team:
        claims = await team.ready()
        await team.send(team.leaks(40) + [b"nothing %d" % number for number in range(4000)])
        found = await team.found()
        metrics = await team.metrics()
        records = await team.total("sluice_consume_records_total")

        assert all(claims[f"worker {number} joined"] for number in (0, 1))
        assert sorted(found) == sorted(team.planted)
        assert records == 4040, "the sum of both"
        for number in ("0", "1"):
            assert metrics["sluice_consume_assigned_partitions", (("worker", number),)] == 2
            assert metrics["sluice_telemetry_worker_ready", (("worker", number),)] == 1
            assert metrics["process_resident_memory_bytes", (("worker", number),)] > 0
        assert {("topic", team.events)} < {
            pair for (name, of) in metrics if name == "sluice_consume_lag_records" for pair in of
        }
        status, about = await team.get("/version")
        assert (status, about["workers"]) == (200, "2")

    lines = team.lines()
    assert {line.get("worker") for line in lines} == {None, 0, 1}
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)


async def test_a_killed_worker_comes_back_and_nobody_else_is_disturbed(
    apache_kafka: Broker, unique: str, tmp_path: Path
) -> None:
    async with team_of(apache_kafka, unique, tmp_path) as team:
        await team.send(team.leaks(20) + [b"nothing %d" % number for number in range(2000)])
        await team.found()
        before = await team.total("sluice_consume_records_total")
        given = await team.total("sluice_consume_rebalances_total")

        os.kill(team.pids()[0], signal.SIGKILL)
        counted = []

        async def came_back() -> bool:
            counted.append(await team.total("sluice_consume_records_total"))
            return len(team.told("worker starting")) == 3 and (await team.get("/readyz"))[0] == 200

        await team.until(came_back)
        await team.send(team.leaks(20) + [b"nothing %d" % number for number in range(2000)])
        found = await team.found()
        counted.append(await team.total("sluice_consume_records_total"))

        assert before == 2020
        assert counted == sorted(counted), "a counter never falls"
        assert counted[-1] >= 4040
        assert set(found) == set(team.planted)
        assert await team.total("sluice_consume_rebalances_total") == given + 1, "its own place back; the other kept its own"
        assert await team.total("sluice_telemetry_worker_starts_total", cause="crash") == 1

    ended = team.told("worker ended, starting it again")
    assert [(line["worker"], line["status"]) for line in ended] == [(0, "SIGKILL")]


async def test_workers_are_replaced_one_by_one_while_the_stream_goes_on(
    apache_kafka: Broker, unique: str, tmp_path: Path
) -> None:
    async with team_of(apache_kafka, unique, tmp_path) as team:
        given = await team.total("sluice_consume_rebalances_total")
        former = team.pids()
        team.signal(signal.SIGUSR2)
        counted, readiness = [], []

        async def replaced() -> bool:
            await team.send(team.leaks(10))
            counted.append(await team.total("sluice_consume_records_total"))
            readiness.append((await team.get("/readyz"))[1].get("claims", {}))
            return bool(team.told("all workers replaced"))

        await team.until(replaced, 120.0)
        found = await team.found()

        assert sorted(found) == sorted(team.planted), "each once: what was in hand was delivered and committed"
        assert counted == sorted(counted), "a counter never falls"
        assert not set(team.pids().values()) & set(former.values())
        for claims in readiness:  # one at a time
            missing = [n for n in (0, 1) if not all(holds for name, holds in claims.items() if name.startswith(f"worker {n}"))]
            assert len(missing) < 2
        assert await team.total("sluice_consume_rebalances_total") == given + 2, "each its own place"


async def test_more_partitions_are_taken_in(apache_kafka: Broker, unique: str, tmp_path: Path) -> None:
    async with team_of(apache_kafka, unique, tmp_path) as team:
        admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka.address)
        await admin.start()
        await admin.create_partitions({team.events: NewPartitions(8)})
        await admin.close()

        async def assigned() -> bool:
            return await team.total("sluice_consume_assigned_partitions") == 8

        await team.until(assigned)
        await team.ready()
        await team.send(team.leaks(64))
        found = await team.found()

        async def caught_up() -> bool:
            metrics = await team.metrics()
            lags = [v for (name, of), v in metrics.items() if name.endswith("lag_records") and ("topic", team.events) in of]
            return len(lags) == 8 and set(lags) == {0.0}

        await team.until(caught_up)
        assert set(found) == set(team.planted)
        for number in ("0", "1"):
            assert await team.total("sluice_consume_assigned_partitions", worker=number) == 4


async def test_settings_come_in_and_wrong_ones_do_not(apache_kafka: Broker, unique: str, tmp_path: Path) -> None:
    async with team_of(apache_kafka, unique, tmp_path) as team:

        async def reloaded(text: str, event: str, times: int) -> list[dict[str, Any]]:
            team.config.write_text(text)
            team.signal(signal.SIGHUP)

            async def is_told() -> bool:
                return len(team.told(event)) >= times

            await team.until(is_told)
            return team.told(event)

        refused = await reloaded("[publish]\nmin_confidence = 'sure'", "settings not taken in, the former ones stay", 1)
        taken = await reloaded(
            "[publish]\nmin_confidence = 'high'\nplaybook_url = 'https://sluice.internal'\n[kafka]\nclient_rack = 'a'",
            "settings taken in",
            2,
        )
        await team.send(team.leaks(8))
        alerts = [json.loads(r.value) for r in await read(apache_kafka, team.alerts, 8)]

        assert "publish.min_confidence" in refused[0]["error"]
        assert {line["worker"] for line in taken} == {0, 1}
        assert all(sorted(line["keys"]) == ["publish.min_confidence", "publish.playbook_url"] for line in taken)
        assert all(line["keys"] == ["kafka.client_rack"] for line in team.told("these settings need new workers: send SIGUSR2"))
        assert all(str(alert["remediation"]["playbook"]).startswith("https://sluice.internal") for alert in alerts)


async def test_at_the_end_all_leave_the_group(apache_kafka: Broker, unique: str, tmp_path: Path) -> None:
    async with team_of(apache_kafka, unique, tmp_path) as team:
        pass
    admin = AIOKafkaAdminClient(bootstrap_servers=apache_kafka.address)
    await admin.start()
    try:
        described = await admin.describe_consumer_groups([team.group])
    finally:
        await admin.close()

    (_, _, state, *_) = described[0].groups[0]
    assert state == "Empty", "nobody waits for the session time-out of members that are gone"


def _runs(pid: int) -> bool:
    try:
        return b"Z" not in Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1][:3]
    except OSError:
        return False


async def test_workers_end_with_their_supervisor(apache_kafka: Broker, unique: str, tmp_path: Path) -> None:
    async with team_of(apache_kafka, unique, tmp_path) as team:
        assert team.process is not None
        team.process.kill()
        team.process.wait()
        team.process = None

        async def gone() -> bool:
            return not any(_runs(pid) for pid in team.pids().values())

        await team.until(gone)


async def test_a_crash_loop_is_told_plainly(unique: str, tmp_path: Path) -> None:
    class Nobody:
        address, idempotence, session_timeout_ms = "127.0.0.1:1", True, 10_000

    team = Team(Nobody(), unique, tmp_path)
    team.start()
    try:

        async def is_told() -> bool:
            return len(team.told("worker ends again and again: see its lines above")) >= 2

        await team.until(is_told, 120.0)
        status, answer = await team.get("/readyz")
        alive, _ = await team.get("/livez")
    finally:
        await team.close()

    assert (status, alive) == (503, 200)
    assert answer["claims"]["worker 0 running"] is False
    assert any("127.0.0.1:1: nobody listens there" in line["line"] for line in team.told("worker says"))
    pauses = [line["pause_seconds"] for line in team.lines() if line.get("worker") == 0 and "pause_seconds" in line]
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]


async def test_a_worker_that_hangs_is_ended_tells_where_and_comes_back(
    apache_kafka: Broker, unique: str, tmp_path: Path
) -> None:
    team = Team(apache_kafka, unique, tmp_path)
    team.start("from service import supervisor; supervisor.HANG_SECONDS = 15.0")
    try:
        await team.ready()
        hanging = team.pids()[1]
        os.kill(hanging, signal.SIGSTOP)

        async def is_told() -> bool:
            if team.told("worker hangs, ending it") and _runs(hanging):
                os.kill(hanging, signal.SIGCONT)  # it hangs no more, and gets to the signal that waits for it
            return len(team.told("worker starting")) == 3

        await team.until(is_told)
        await team.ready()
        assert await team.total("sluice_telemetry_worker_starts_total", worker="1", cause="hang") == 1
    finally:
        await team.close()

    ended = team.told("worker ended, starting it again")
    assert [(line["worker"], line["status"]) for line in ended] == [(1, "SIGABRT")]
    places = [line["line"] for line in team.told("worker says") if line["worker"] == 1]
    assert any("Fatal Python error: Aborted" in line for line in places)
    assert any("in run_until_signalled" in line or "runners.py" in line for line in places)
