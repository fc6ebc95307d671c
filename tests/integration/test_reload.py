"""Rules, allow-lists and live checks are taken in while records flow: none is lost, and what is wrong changes nothing."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.brokers import Broker
from service import proof, settings
from service.app import Service
from service.settings import Settings
from tests.integration.test_live_checks import at_hand, github  # noqa: F401 - a fixture
from tests.integration.test_stream import produce, read, settings_for
from tests.probe.conftest import Providers, providers  # noqa: F401 - a fixture

pytestmark = pytest.mark.integration


class Running:
    """A service whose settings stand in a file."""

    def __init__(self, broker: Broker, unique: str, folder: Path, start: str) -> None:
        self.broker = broker
        self.config = folder / "sluice.toml"
        self.config.write_text(start)
        self._fixed = settings_for(broker, unique)
        self.service = Service(self._read(), self._read, self.config)
        self.detector = next(d for d in self.service.detectors if d.id == "github-personal-access-token")
        self._rng = random.Random(7)
        self.made: list[str] = []

    def _read(self) -> Settings:
        """What the file says of what is told in these tests, and what every test has."""
        read, fixed = settings.load(self.config, {}), self._fixed
        detect = msgspec.structs.replace(read.detect, watch_interval_ms=100)
        return msgspec.structs.replace(fixed, rules=read.rules, allow=read.allow, probe=read.probe, detect=detect)

    def secret(self) -> bytes:
        made = proof.secret_of(self.detector, self._rng)
        self.made.append(self.service.fingerprint(made))
        return made

    async def send(self, *secrets: bytes) -> None:
        await produce(self.broker, self._fixed.consume.topics[0], [b"TOKEN=" + secret for secret in secrets])

    async def alerts(self, least: int, topic: str | None = None) -> list[dict[str, Any]]:
        return [json.loads(r.value) for r in await read(self.broker, topic or self._fixed.publish.topic, least)]

    async def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    def count(self, outcome: str) -> float:
        return self.service.metrics.value("sluice_detect_reloads_total", outcome=outcome)


@asynccontextmanager
async def running(broker: Broker, unique: str, folder: Path, start: str = "") -> AsyncIterator[Running]:
    found = Running(broker, unique, folder, start)
    task = asyncio.create_task(found.service.run())
    try:
        await found.until(lambda: task.done() or all(found.service.ready().values()))
        yield found
    finally:
        found.service.stop()
        await asyncio.wait_for(task, 30)


async def test_rules_are_taken_in_while_records_flow_and_none_is_lost(
    embedded_broker: Broker, unique: str, tmp_path: Path
) -> None:
    async with running(embedded_broker, unique, tmp_path) as found:
        sending = True

        async def flow() -> None:
            while sending:
                await found.send(*(found.secret() for _ in range(20)))

        flowing = asyncio.create_task(flow())
        for number in range(1, 4):
            found.config.write_text(f'[[rules]]\ndetector = "github-*"\ntag = "t{number}"\ntopic = "routed-{unique}"\n')
            await found.until(lambda number=number: found.count("taken") >= number)  # type: ignore[misc]
        found.config.write_text('[[rules]]\ntag = "no condition"\n')
        await found.until(lambda: found.count("refused") >= 1)
        sending = False
        await flowing
        last = found.secret()
        await found.send(last)
        routed = await found.alerts(1, f"routed-{unique}")
        direct = await found.alerts(0)

    told = {alert["secret"]["fingerprint"]: alert["tags"] for alert in [*routed, *direct]}
    assert set(told) == set(found.made)
    assert told[found.service.fingerprint(last)] == ["t3"], "a wrong file leaves the rules before it"
    assert {tuple(tags) for tags in told.values()} >= {("t1",), ("t2",), ("t3",)}


async def test_a_topic_that_is_read_cannot_become_one_of_alerts(embedded_broker: Broker, unique: str, tmp_path: Path) -> None:
    async with running(embedded_broker, unique, tmp_path) as found:
        found.config.write_text(f'[[rules]]\ndetector = "*"\ntopic = "events-{unique}"\n')
        await found.until(lambda: found.count("refused") >= 1)
        await found.send(found.secret())
        (alert,) = await found.alerts(1)

    assert alert["secret"]["fingerprint"] == found.made[0]


async def test_an_allow_list_counts_as_soon_as_it_is_written_and_tells_what_it_does(
    embedded_broker: Broker, unique: str, tmp_path: Path
) -> None:
    allowing = tmp_path / "allow.toml"
    allowing.write_text("")
    entry = '[[allow]]\nfingerprint = "{}"\nowner = "ann"\nreason = "old"\nexpires = "never"\n'
    async with running(embedded_broker, unique, tmp_path, f'[allow]\nfiles = ["{allowing}"]\n') as found:
        listed, other = found.secret(), found.secret()
        allowing.write_text(entry.format(found.service.fingerprint(listed)) + entry.format("ab" * 32))
        await found.until(lambda: found.count("taken") >= 1)
        await found.send(listed, other)
        (alert,) = await found.alerts(1)
        first, second = (f"fingerprint={entry[:12]}" for entry in (found.service.fingerprint(listed), "ab" * 32))
        value = found.service.metrics.value
        await found.until(lambda: value("sluice_judge_allow_fired_total", entry=first) == 1)
        exposed = (await found.service.metrics.expose()).decode()
        allowing.write_text(entry.format("ab" * 32) + entry.format(found.service.fingerprint(listed)))
        await found.until(lambda: found.count("taken") >= 2)
        await asyncio.sleep(0.5)  # it is looked at some times more

    assert alert["secret"]["fingerprint"] == found.service.fingerprint(other)
    assert value("sluice_judge_allow_fired_total", entry=first) == 1, "an entry that moved keeps its count"
    assert value("sluice_judge_allow_last_fired_timestamp_seconds", entry=first) > 0
    assert f'sluice_judge_allow_fired_total{{entry="{second}"}} 0.0' in exposed


async def test_live_checks_are_switched_on_and_off(
    embedded_broker: Broker,
    unique: str,
    tmp_path: Path,
    at_hand: Providers,  # noqa: F811
) -> None:
    live = proof.secret_of(
        next(d for d in Service(settings_for(embedded_broker, unique)).detectors if d.id == "github-personal-access-token"),
        random.Random(),
    )
    at_hand.handlers["api.github.com"] = github(live)
    probe = msgspec.to_builtins(at_hand.settings())
    lines = [f"{key} = {json.dumps(value)}" for key, value in probe.items() if value not in (None, {}, []) and key != "enabled"]
    config = "[probe]\nenabled = {}\n" + "\n".join(lines) + "\n"
    async with running(embedded_broker, unique, tmp_path) as found:
        await found.send(found.secret())
        await found.alerts(1)
        found.config.write_text(config.format("true"))
        await found.until(lambda: found.count("taken") >= 1)
        asked_before = len(at_hand.requests)
        await found.send(live)
        alerts = await found.alerts(3)
        asked = len(at_hand.requests)
        found.config.write_text(config.format("false"))
        await found.until(lambda: found.count("taken") >= 2)
        await found.send(found.secret())
        await found.alerts(4)

    assert asked_before == 0
    assert [alert["validity"] for alert in alerts] == ["unchecked", "unchecked", "active"]
    assert len(at_hand.requests) == asked > 0
