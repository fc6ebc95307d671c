"""A whole stream to break: a feed with leaks planted in it, workers as processes of their own, and the reckoning.

Every planted secret is another one, and where the broker put its record is known from the acknowledgement. In the end each
place that was acknowledged has to have its alert, no alert may be of anything else, and what came twice came with the same
``alert_id`` (under exactly-once delivery nothing came twice).
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from service import app, proof
from service.publish.fingerprint import Fingerprinter
from service.records import Detector, Secret
from service.sources.embedded_broker import free_port
from service.sources.generator import Generator, Made

KEY = "a key for tests, and only for them"
LEAKING = (
    "github-personal-access-token",
    "gitlab-personal-access-token",
    "slack-bot-token",
    "npm-access-token",
    "grafana-service-account-token",
    "sendgrid-api-key",
)
_FINGERPRINTER = Fingerprinter(KEY.encode())
Place = tuple[str, int, int]


def leaking_detectors() -> list[Detector]:
    loaded, _ = app.load_database()
    chosen = [detector for detector in loaded.detectors if detector.id in LEAKING]
    assert len(chosen) == len(LEAKING)
    return chosen


def fingerprint(secret: str) -> str:
    return _FINGERPRINTER.secret(Secret(secret.encode("latin-1")))


class Worker:
    """``sluice run`` as a process; its log is kept for when something goes wrong."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment = environment
        self.log = log
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Worker":
        self.port = free_port()
        environment = {**self._environment, "SLUICE_TELEMETRY__PORT": str(self.port)}
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "service", "run"]
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        return self

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    async def stop(self, seconds: float = 60.0) -> int:
        """SIGTERM, and its exit status."""
        assert self._process is not None
        self.signal(signal.SIGTERM)
        return await asyncio.to_thread(self._process.wait, seconds)

    async def get(self, path: str) -> tuple[int, str]:
        def ask() -> tuple[int, str]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()
            except OSError as error:
                return 0, str(error)

        return await asyncio.to_thread(ask)

    async def ready(self, seconds: float = 120.0) -> "Worker":
        deadline = time.monotonic() + seconds
        while (await self.get("/readyz"))[0] != 200:
            assert self.running, f"the worker ended:\n{self.tail()}"
            assert time.monotonic() < deadline, f"the worker is not ready:\n{self.tail()}"
            await asyncio.sleep(0.1)
        return self

    async def claims(self) -> dict[str, bool]:
        """What ``/readyz`` says, claim by claim."""
        status, text = await self.get("/readyz")
        return dict(json.loads(text)["claims"]) if status else {}

    async def joined(self, seconds: float = 120.0) -> "Worker":
        """As :meth:`ready`, whatever is to be said of its sinks."""
        deadline = time.monotonic() + seconds
        while not (await self.claims()).get("joined"):
            assert self.running, f"the worker ended:\n{self.tail()}"
            assert time.monotonic() < deadline, f"the worker has not joined:\n{self.tail()}"
            await asyncio.sleep(0.1)
        return self

    async def metric(self, name: str) -> float:
        """The sum over all labels."""
        _, text = await self.get("/metrics")
        values = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name))
        return sum(float(value) for label, value in values if label.partition("{")[0] == name)

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-lines:])


class Stream:
    """One run.

    Args:
        address: of the broker, for the feed and the reckoning.
        seed: of all that is drawn.
        folder: for logs.
        unique: a word for its topics and group.
        delivery: ``at_least_once`` or ``exactly_once``.
        through: the address the workers are given, where it is another one.
        environment: further settings of the workers.
    """

    def __init__(
        self,
        address: str,
        seed: int,
        folder: Path,
        unique: str,
        delivery: str = "at_least_once",
        through: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.address, self.seed, self.delivery = address, seed, delivery
        self.rng = random.Random(seed)
        self.events, self.alerts, self.letters = f"events-{unique}", f"alerts-{unique}", f"dead-{unique}"
        self.group = f"group-{unique}"
        self.planted: dict[Place, str] = {}
        """Where a leak was acknowledged, and the fingerprint of its secret."""
        self.doubtful: set[str] = set()
        """Fingerprints of leaks of which nobody knows whether they got through."""
        self.sent = 0
        self.found: dict[Place, list[tuple[str, str]]] = {}
        """Where alerts say they come from, and the fingerprint and ``alert_id`` of each."""
        self.by_chance: set[str] = set()
        """Fingerprints of what detectors of other kinds made of random text."""
        self._seen: set[tuple[int, int, int, str]] = set()
        self.read_again = 0
        """Records of alerts that were read twice by the reckoning itself."""
        self.shortened: set[Place] = set()
        """Where those come from that their topic did not take whole."""
        self.workers: list[Worker] = []
        self._folder = folder
        self._environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": through or address,
            "KAFKA_GROUP_ID": self.group,
            "SLUICE_KAFKA__SESSION_TIMEOUT_MS": "4000",
            "SLUICE_KAFKA__HEARTBEAT_INTERVAL_MS": "500",
            "SLUICE_KAFKA__METADATA_MAX_AGE_MS": "2000",
            "SLUICE_CONSUME__DRAIN_TIMEOUT_MS": "2000",
            "SLUICE_CONSUME__COMMIT_INTERVAL_MS": "200",
            "SLUICE_CONSUME__TOPICS": self.events,
            "SLUICE_VERDICTS__TOPIC": f"verdicts-{unique}",
            "SLUICE_PUBLISH__TOPIC": self.alerts,
            "SLUICE_PUBLISH__MIN_CONFIDENCE": "high",
            "SLUICE_DEAD_LETTERS__TOPIC": self.letters,
            "SLUICE_FINGERPRINT__KEY": KEY,
            **({} if delivery == "at_least_once" else {"SLUICE_PUBLISH__DELIVERY": delivery}),
            **(environment or {}),
        }
        detectors = leaking_detectors()

        def make(rng: random.Random) -> tuple[str, str]:
            secret = proof.secret_of(rng.choice(detectors), rng).decode("latin-1")
            return f"key={secret}", secret

        self._make = make
        self._generator = Generator(make, leak_ratio=0.05, seed=seed, pool=200)
        self._began = time.monotonic()
        self._feeding: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._producer: Any = None
        self._pending: set[asyncio.Task[None]] = set()

    # -- the workers ---------------------------------------------------------------------------------------------------

    def worker(self, **environment: str) -> Worker:
        """Another worker, started."""
        number = len(self.workers)
        log = self._folder / f"worker-{number}.log"
        own = {"SLUICE_KAFKA__CLIENT_ID": f"sluice-{number}"}
        worker = Worker({**self._environment, **own, **environment}, log).start()
        self.workers.append(worker)
        return worker

    # -- what goes in --------------------------------------------------------------------------------------------------

    def feed(self, rate: int = 1500) -> None:
        """Begins to produce so many records a second, until :meth:`reckon`."""
        self._feeding = asyncio.create_task(self._feed(rate))

    async def produce(self, count: int) -> None:
        """So many records at once, each acknowledged."""
        await self._start_producer()
        await self._send(self._generator.records(count))
        await self._flush()

    def draw_secret(self) -> str:
        """A secret of its own, not yet in any record."""
        return self._make(self.rng)[1]

    async def send_one(self, value: bytes, **options: Any) -> Place:
        """One record that nobody draws, and where it is."""
        await self._start_producer()
        where = await self._producer.send_and_wait(self.events, value, **options)
        return where.topic, where.partition, where.offset

    async def plant(self, secret: str | None = None, value: bytes | None = None, **options: Any) -> Place:
        """One record with a leak, reckoned with like those of the feed; where it is."""
        secret = secret or self.draw_secret()
        place = await self.send_one(value or json.dumps({"type": "log", "message": f"key={secret}"}).encode(), **options)
        self.planted[place] = fingerprint(secret)
        return place

    def begin_anew(self) -> None:
        """The topic was made anew: what was planted before is reckoned with, its places are given again."""
        self.doubtful |= set(self.planted.values())
        self.planted.clear()
        self.found.clear()

    async def _feed(self, rate: int) -> None:
        await self._start_producer()
        due = time.monotonic()
        while True:
            await self._send(self._generator.records(rate // 20))
            due += 0.05
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            while len(self._pending) > 20_000:
                await asyncio.sleep(0.05)

    async def _start_producer(self) -> None:
        if self._producer is None:
            self._producer = AIOKafkaProducer(bootstrap_servers=self.address, acks="all", enable_idempotence=True, linger_ms=5)
            await self._producer.start()
            self._reading = self._reading or asyncio.create_task(self._read())

    async def _send(self, made: list[Made]) -> None:
        for one in made:
            self.sent += 1
            print_of = fingerprint(one.leak) if one.leak else None
            try:
                sent = await self._producer.send(self.events, one.value, one.key)
            except KafkaError:
                if print_of:
                    self.doubtful.add(print_of)
                continue
            task = asyncio.create_task(self._note(sent, print_of))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)

    async def _note(self, sent: Any, print_of: str | None) -> None:
        try:
            where = await sent
        except KafkaError:
            if print_of:
                self.doubtful.add(print_of)
            return
        if print_of:
            self.planted[where.topic, where.partition, where.offset] = print_of

    async def _flush(self) -> None:
        while self._pending:
            await asyncio.wait(self._pending, timeout=1.0)

    async def stop_feeding(self) -> None:
        if self._feeding is not None:
            self._feeding.cancel()
            await asyncio.gather(self._feeding, return_exceptions=True)
            self._feeding = None
        await self._flush()

    # -- what comes out ------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            self.alerts,
            bootstrap_servers=self.address,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=100,
            metadata_max_age_ms=1000,
        )
        await consumer.start()
        try:
            while True:
                try:
                    fetched = await consumer.getmany(timeout_ms=500)
                except KafkaError:
                    await asyncio.sleep(0.5)
                    continue
                for records in fetched.values():
                    for record in records:
                        self._take(record)
        finally:
            await consumer.stop()

    def _take(self, record: Any) -> None:
        alert = json.loads(record.value)
        # a reader that a broker's return sends back reads the same record again: that is no second alert
        seen = (record.partition, record.offset, record.timestamp, alert["alert_id"])
        if seen in self._seen:
            self.read_again += 1
            return
        self._seen.add(seen)
        where = alert["location"]
        place = (where["topic"], where["partition"], where["offset"])
        self.found.setdefault(place, []).append((alert["secret"]["fingerprint"], alert["alert_id"]))
        if alert["detector"]["id"] not in LEAKING:
            self.by_chance.add(alert["secret"]["fingerprint"])
        if alert.get("shortened"):
            self.shortened.add(place)

    @property
    def missing(self) -> list[Place]:
        """Places of planted leaks without an alert of them."""
        found = self.found
        return sorted(
            place for place, print_of in self.planted.items() if all(print_of != other for other, _ in found.get(place, ()))
        )

    async def until_found(self, more: int, seconds: float = 120.0) -> None:
        """Waits until so many more alerts have come."""
        wanted, deadline = len(self.found) + more, time.monotonic() + seconds
        while len(self.found) < wanted:
            assert time.monotonic() < deadline, f"{len(self.found)} alerts, {wanted} expected\n{self.tails()}"
            await asyncio.sleep(0.05)

    async def until_all_found(self, seconds: float = 120.0) -> None:
        """Waits until what was planted so far has its alerts."""
        deadline = time.monotonic() + seconds
        while self.missing:
            assert time.monotonic() < deadline, f"{len(self.missing)} alerts are missing\n{self.tails()}"
            await asyncio.sleep(0.05)

    async def reckon(self, seconds: float = 90.0) -> str:
        """Ends the feed, waits for what is still to come, and holds all against what was planted.

        Args:
            seconds: without another alert, after which what is missing is lost.

        Returns:
            What to say of the run.
        """
        await self.stop_feeding()
        found, deadline = -1, 0.0
        while self.missing and (len(self.found) > found or time.monotonic() < deadline):
            if len(self.found) > found:
                found, deadline = len(self.found), time.monotonic() + seconds
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.0)  # for what comes twice
        repeats = sum(len(alerts) - len({print_of for print_of, _ in alerts}) for alerts in self.found.values())
        told = (
            f"seed {self.seed}, {self.delivery}: {self.sent:,} records, {len(self.planted):,} leaks acknowledged,"
            f" {len(self.missing)} lost, {repeats} repeated, {time.monotonic() - self._began:.0f} s"
            + (f", {self.read_again} read again" if self.read_again else "")
            + (f", {len(self.by_chance)} found by chance" if self.by_chance else "")
        )
        print(told)
        assert len(self.planted) > 20, told
        assert not self.missing, f"{told}\nlost: {self.missing[:20]}\n{self.tails()}"
        known = set(self.planted.values()) | self.doubtful | self.by_chance
        for place, alerts in self.found.items():
            prints = {print_of for print_of, _ in alerts}
            assert prints <= known, f"{told}\n{place}: an alert of something that was not planted"
            assert len({alert_id for _, alert_id in alerts}) == len(prints), f"{told}\n{place}: a repeat with another id"
        by_id = Counter(alert_id for alerts in self.found.values() for _, alert_id in alerts)
        if self.delivery == "exactly_once":
            assert max(by_id.values()) == 1, f"{told}\ndoubled: {by_id.most_common(5)}\n{self.tails()}"
        return told

    def tails(self) -> str:
        return "\n".join(f"-- {worker.log.name}\n{worker.tail()}" for worker in self.workers[-3:])

    async def dead_letters(self, least: int, seconds: float = 60.0) -> list[Any]:
        """What is among the dead letters, once so many are there."""
        consumer = AIOKafkaConsumer(
            self.letters,
            bootstrap_servers=self.address,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await consumer.start()
        found: list[Any] = []
        deadline = time.monotonic() + seconds
        try:
            while len(found) < least and time.monotonic() < deadline:
                found += [r for records in (await consumer.getmany(timeout_ms=500)).values() for r in records]
        finally:
            await consumer.stop()
        return found

    async def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        for task in (self._feeding, self._reading):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._producer is not None:
            with contextlib.suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(self._producer.stop(), 10)
