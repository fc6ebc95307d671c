"""See it at work: an embedded broker, the service, a generator of code and log events with some leaks, and the alerts.

  sluice demo                one minute
  sluice demo --seconds 20
  sluice demo --seconds 0    until Ctrl-C

Everything runs on this machine's loopback address and is gone afterwards. On a terminal the view is live; in a pipe each
alert is a line.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import secrets
import sys
import time
from collections import Counter, deque
from typing import Any

from service.errors import ExitCode

HELP = "see it at work, all in one"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N", help="how long (default 60; 0: until Ctrl-C)")
    parser.add_argument("--rate", type=int, default=5000, metavar="N", help="records a second (default 5,000)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the made-up events")


def run(arguments: argparse.Namespace) -> int:
    """Runs until the time is over."""
    from service import app
    from service.telemetry import logs

    logs.configure("error", "console")
    app.tune_allocator()
    demo = _Demo(arguments.seconds or float("inf"), arguments.rate, arguments.seed)
    with asyncio.Runner(loop_factory=app.new_loop) as runner, contextlib.suppress(KeyboardInterrupt):
        runner.run(demo.run())
    demo.summary()
    return ExitCode.ok


class _Demo:
    def __init__(self, seconds: float, rate: int, seed: int) -> None:
        self._seconds = seconds
        self._rate = rate
        self._seed = seed
        self._planted: Counter[str] = Counter()
        self._produced = 0
        self._alerts: deque[dict[str, Any]] = deque(maxlen=12)
        self._seen: Counter[str] = Counter()
        self._confidence: Counter[str] = Counter()
        self._latencies: deque[float] = deque(maxlen=2000)
        self._began = 0.0
        self._elapsed = 0.0
        self._service: Any = None
        self._rates: deque[tuple[float, float, float]] = deque(maxlen=20)

    async def run(self) -> None:
        from service.app import Service
        from service.settings import Consume, Fingerprint, Kafka, Settings, Telemetry
        from service.sources.embedded_broker import EmbeddedBroker

        plain = not sys.stdout.isatty()
        if plain:
            print("starting the embedded broker and the service", flush=True)
        async with EmbeddedBroker() as broker:
            settings = Settings(
                kafka=Kafka(
                    bootstrap_servers=broker.address,
                    idempotence=False,  # the embedded broker knows none
                    session_timeout_ms=6000,  # and lets a group wait for half of it
                    heartbeat_interval_ms=1500,
                ),
                consume=Consume(fetch_max_wait_ms=20, drain_timeout_ms=3000),
                fingerprint=Fingerprint(key=secrets.token_hex(32)),
                telemetry=Telemetry(port=0),
            )
            self._service = service = Service(settings)
            worker = asyncio.create_task(service.run(), name="service")
            try:
                while not all(service.ready().values()):
                    if worker.done():
                        worker.result()
                    await asyncio.sleep(0.05)
                self._began = time.monotonic()
                tasks = [
                    asyncio.create_task(self._produce(broker.address), name="generator"),
                    asyncio.create_task(self._read_alerts(broker.address), name="alerts"),
                    asyncio.create_task(self._show(plain), name="view"),
                ]
                await asyncio.wait(
                    [worker, *tasks],
                    timeout=None if self._seconds == float("inf") else self._seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in tasks:
                    if task.done():
                        task.result()
                tasks[0].cancel()
                await asyncio.sleep(0.7)  # what was produced last is still on its way
                self._elapsed = time.monotonic() - self._began
                for task in tasks[1:]:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                if worker.done():
                    worker.result()
            finally:
                service.stop()
                await asyncio.wait([worker], timeout=5.0)

    async def _produce(self, address: str) -> None:
        from aiokafka import AIOKafkaProducer

        from service.sources.generator import Generator

        generator = Generator(self._maker(), leak_ratio=min(0.01, 3 / self._rate), seed=self._seed)
        producer = AIOKafkaProducer(bootstrap_servers=address, enable_idempotence=False, linger_ms=5)
        await producer.start()
        try:
            began = time.monotonic()
            sent = 0
            while True:
                due = int((time.monotonic() - began) * self._rate) - sent
                for made in generator.records(max(0, min(due, 2000))):
                    await producer.send(made.topic, made.value, made.key)
                    sent += 1
                    self._produced += 1
                    if made.leak:
                        self._planted[made.leak] += 1
                await asyncio.sleep(0.02)
        finally:
            await producer.stop()

    def _maker(self) -> Any:
        from service import proof

        shown = {
            detector.id: detector
            for detector in self._service.detectors
            if not detector.is_generic
            and not detector.after
            and detector.severity.rank >= 3
            and not detector.before
            and (not detector.keywords or detector.provider == "WePay")
        }
        chosen = [shown[name] for name in _SHOWN if name in shown] or list(shown.values())

        def make(rng: random.Random) -> tuple[str, str]:
            detector = rng.choice(chosen)
            text, _ = rng.choice(list(proof.examples(detector, rng)))
            return text.decode(), detector.name

        return make

    async def _read_alerts(self, address: str) -> None:
        import json

        from aiokafka import AIOKafkaConsumer

        consumer = AIOKafkaConsumer(
            "sluice.alerts", bootstrap_servers=address, auto_offset_reset="earliest", fetch_max_wait_ms=20
        )
        await consumer.start()
        try:
            async for record in consumer:
                alert = json.loads(record.value)
                alert["latency"] = max(0.0, time.time() - record.timestamp / 1000)
                self._alerts.append(alert)
                self._seen[alert["detector"]["name"]] += 1
                self._confidence[alert["confidence"]] += 1
                if not sys.stdout.isatty():
                    print(_line(alert), flush=True)
        finally:
            await consumer.stop()

    def _measured(self) -> dict[str, float]:
        value = self._service.metrics.value
        records = value("sluice_consume_records_total", topic="sluice.events")
        size = value("sluice_consume_bytes_total", topic="sluice.events")
        lag = sum(value("sluice_consume_lag_records", topic="sluice.events", partition=str(p)) for p in range(64))
        now = time.monotonic()
        self._rates.append((now, records, size))
        then, before, bytes_before = self._rates[0]
        span = max(0.25, now - then)
        return {
            "records": records,
            "bytes": size,
            "rate": (records - before) / span,
            "bytes_rate": (size - bytes_before) / span,
            "lag": lag,
            "age": value("sluice_consume_oldest_record_age_seconds"),
        }

    async def _show(self, plain: bool) -> None:
        if plain:
            while True:
                await asyncio.sleep(5.0)
                now = self._measured()
                print(
                    f"{now['rate']:,.0f} records/s  {now['bytes_rate'] / 1e6:.1f} MB/s  lag {now['lag']:.0f}"
                    f"  alerts {sum(self._seen.values())}",
                    flush=True,
                )
        from rich.live import Live

        with Live(self._view(), refresh_per_second=8, screen=False) as live:
            while True:
                await asyncio.sleep(0.125)
                live.update(self._view())

    def _view(self) -> Any:
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        now = self._measured()
        left = (
            "" if self._seconds == float("inf") else f"{max(0.0, self._seconds - (time.monotonic() - self._began)):.0f} s left"
        )
        head = Text.assemble(
            ("Sluice ", "bold cyan"),
            (f"{len(self._service.detectors):,} secret types  ", "dim"),
            (f"{now['rate']:,.0f} records/s  ", "bold"),
            (f"{now['bytes_rate'] / 1e6:.1f} MB/s  ", "bold"),
            f"lag {now['lag']:.0f}  ",
            (f"{sum(self._seen.values())} alerts  ", "bold red"),
            (left, "dim"),
        )
        table = Table(box=box.SIMPLE_HEAD, expand=True)
        table.add_column("what", ratio=3, no_wrap=True)
        table.add_column("where", ratio=4, no_wrap=True)
        table.add_column("secret", ratio=2, no_wrap=True)
        table.add_column("confidence", no_wrap=True)
        table.add_column("encoding", no_wrap=True)
        for alert in reversed(self._alerts):
            colour = {"high": "red", "medium": "yellow"}.get(alert["confidence"], "dim")
            table.add_row(
                alert["detector"]["name"],
                _where(alert),
                alert["secret"]["redacted"],
                Text(alert["confidence"], colour),
                alert["encoding"] or "",
            )
        return Group(head, table)

    def summary(self) -> None:
        """What happened, once it is over."""
        if self._service is None:
            return
        value = self._service.metrics.value
        records = value("sluice_consume_records_total", topic="sluice.events")
        size = value("sluice_consume_bytes_total", topic="sluice.events")
        seconds = value("sluice_detect_seconds_sum")
        elapsed = self._elapsed or 1.0
        print(f"\n{records:,.0f} records, {size / 1e6:,.1f} MB in {elapsed:.0f} s; all scanning took {seconds:.2f} s")
        if seconds:
            print(f"scanned at {size / 1e6 / seconds:,.0f} MB/s with {len(self._service.detectors):,} secret types")
        print(f"{sum(self._planted.values())} leaks planted, {sum(self._seen.values())} alerts published")
        print("confidence: " + (", ".join(f"{count} {name}" for name, count in self._confidence.most_common()) or "none"))
        for name, count in self._seen.most_common(8):
            print(f"  {count:4}  {name}")
        print("\nNext: `sluice scan .` looks through a folder; `sluice run --help` connects to your Kafka.")


_SHOWN = (
    "wepay-access-token",
    "stripe-secret-key",
    "stripe-live-secret-key",
    "github-personal-access-token",
    "gitlab-personal-access-token",
    "aws-access-key-id",
    "slack-bot-token",
    "npm-access-token",
    "openai-project-api-key",
    "anthropic-api-key",
    "sendgrid-api-key",
    "google-api-key",
    "hugging-face-user-access-token",
    "digitalocean-personal-access-token",
    "pypi-api-token",
    "shopify-access-token",
    "databricks-personal-access-token",
    "grafana-service-account-token",
    "notion-integration-token",
    "figma-personal-access-token",
)


def _where(alert: dict[str, Any]) -> str:
    place = alert["location"]
    if place["type"] == "code":
        return f"{place.get('repository')} {place.get('path')}:{place.get('line')}"
    return f"{place.get('host') or ''} {place.get('source') or place.get('envelope') or ''} ({place['field']})".strip()


def _line(alert: dict[str, Any]) -> str:
    encoding = f" in {alert['encoding']}" if alert["encoding"] else ""
    return f"ALERT {alert['detector']['name']}  {_where(alert)}  {alert['secret']['redacted']}  {alert['confidence']}{encoding}"
