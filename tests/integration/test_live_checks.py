"""Live checks of the running service: alerts go out at once and are updated, a provider that hangs slows nothing."""

from __future__ import annotations

import asyncio
import io
import json
import random
import sys
from functools import cache
from typing import Any

import msgspec
import pytest
from aiohttp import web

from benchmarks.brokers import Broker
from service import cli, proof
from service.app import Service
from service.detect import catalogue
from service.errors import SettingsError
from service.records import Detector
from service.settings import Probe, Repeats, Rule, Rules, Settings
from tests.integration.test_stream import produce, read, running, settings_for
from tests.probe.conftest import Providers, providers  # noqa: F401 - a fixture

pytestmark = pytest.mark.integration


def settings_of(broker: Broker, unique: str, at_hand: Providers, suppressed: bool = True, **probe: Any) -> Settings:
    return msgspec.structs.replace(
        settings_for(broker, unique), probe=at_hand.settings(**probe), repeats=Repeats(enabled=suppressed)
    )


@cache
def github_token() -> Detector:
    return next(one for one in catalogue.load(catalogue.read()) if one.id == "github-personal-access-token")


def token() -> bytes:
    return proof.secret_of(github_token(), random.Random())


@pytest.fixture
def at_hand(providers: Providers, monkeypatch: pytest.MonkeyPatch) -> Providers:  # noqa: F811
    monkeypatch.setattr("service.probe.network.aiohttp.ThreadedResolver", lambda: providers.names)
    return providers


def github(live: bytes) -> Any:
    async def handler(request: web.Request) -> web.Response:
        if request.headers["Authorization"].encode() == b"Bearer " + live:
            return web.json_response({"login": "octocat"}, headers={"X-OAuth-Scopes": "repo"})
        return web.json_response({"message": "Bad credentials"}, status=401)

    return handler


async def alerts(broker: Broker, settings: Settings, least: int) -> list[dict[str, Any]]:
    return [json.loads(record.value) for record in await read(broker, settings.publish.topic, least)]


@pytest.mark.parametrize("suppressed", [True, False])
async def test_an_alert_goes_out_at_once_and_is_updated(
    broker: Broker, unique: str, at_hand: Providers, suppressed: bool
) -> None:
    live = token()
    at_hand.handlers["api.github.com"] = github(live)
    settings = settings_of(broker, unique, at_hand, suppressed)

    async with running(settings):
        await produce(broker, settings.consume.topics[0], [b"GITHUB_TOKEN=" + live])
        first, second = await alerts(broker, settings, 2)

    assert (first["validity"], second["validity"]) == ("unchecked", "active")
    assert first["secret"]["fingerprint"] == second["secret"]["fingerprint"]
    assert (second["update"], second["first_alert_id"]) == (1, first["alert_id"])
    assert (second["facts"]["account"], second["facts"]["scopes"]) == ("octocat", "repo")
    assert "the provider accepts it" in second["reasons"]
    assert (
        second["remediation"]["steps"]
        == ["It is live: act now. If it was public, revoke it before anything else."] + (first["remediation"]["steps"])
    )
    assert live.decode() not in json.dumps([first, second])


@pytest.mark.parametrize("suppressed", [True, False])
async def test_rules_see_the_answer(embedded_broker: Broker, unique: str, at_hand: Providers, suppressed: bool) -> None:
    live = token()
    at_hand.handlers["api.github.com"] = github(live)
    rules = [
        {"detector": "github-*", "severity": "medium", "tag": "hosting"},
        {"validity": "active", "severity": "critical", "tag": "live", "topic": f"pages-{unique}"},
    ]
    settings = settings_of(embedded_broker, unique, at_hand, suppressed)
    settings = msgspec.structs.replace(settings, rules=Rules(listed=msgspec.convert(rules, tuple[Rule, ...])))

    async with running(settings):
        await produce(embedded_broker, settings.consume.topics[0], [b"GITHUB_TOKEN=" + live])
        (first,) = await alerts(embedded_broker, settings, 1)
        (second,) = [json.loads(record.value) for record in await read(embedded_broker, f"pages-{unique}", 1)]

    assert (first["severity"], first["tags"], first["validity"]) == ("medium", ["hosting"], "unchecked")
    assert (second["severity"], second["tags"], second["validity"]) == ("critical", ["hosting", "live"], "active")
    assert second["first_alert_id"] == first["alert_id"]


async def test_nothing_is_asked_unless_it_is_switched_on(embedded_broker: Broker, unique: str, at_hand: Providers) -> None:
    settings = settings_of(embedded_broker, unique, at_hand, enabled=False)

    async with running(settings):
        await produce(embedded_broker, settings.consume.topics[0], [b"GITHUB_TOKEN=" + token()])
        await alerts(embedded_broker, settings, 1)

    assert at_hand.requests == []


async def test_what_a_person_called_harmless_is_not_asked_about(
    embedded_broker: Broker, unique: str, at_hand: Providers
) -> None:
    at_hand.handlers["api.github.com"] = github(b"nobody")
    settings = settings_of(embedded_broker, unique, at_hand)
    known, other = token(), token()

    async with running(settings) as service:
        decided = {"verdict": "false_positive", "by": "ann", "reason": "made up"}
        service.verdicts.apply(service.fingerprint(known).encode(), json.dumps(decided).encode(), 1.0)
        await produce(embedded_broker, settings.consume.topics[0], [b"GITHUB_TOKEN=" + known, b"GITHUB_TOKEN=" + other])
        found = await alerts(embedded_broker, settings, 2)

    assert {alert["secret"]["fingerprint"] for alert in found} == {service.fingerprint(other)}
    assert [headers["Authorization"].encode() for headers in at_hand.headers] == [b"Bearer " + other]


async def test_a_provider_that_hangs_slows_nothing(embedded_broker: Broker, unique: str, at_hand: Providers) -> None:
    async def hangs(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    at_hand.handlers["api.github.com"] = hangs
    settings = settings_of(embedded_broker, unique, at_hand, timeout_ms=60_000, max_waiting=10)
    tokens = [token() for _ in range(200)]

    async with running(settings) as service:
        await produce(embedded_broker, settings.consume.topics[0], [b"GITHUB_TOKEN=" + one for one in tokens])
        found = await alerts(embedded_broker, settings, 200)

    assert len(found) == 200, [alert["update"] for alert in found if alert["update"]]
    assert {alert["secret"]["fingerprint"] for alert in found} == {service.fingerprint(one) for one in tokens}
    assert {alert["validity"] for alert in found} == {"unchecked"}
    assert len(at_hand.requests) <= 2
    assert service.metrics.value("sluice_probe_skipped_total", reason="queue_full") == 188


async def test_rechecking_updates_the_alerts(
    embedded_broker: Broker, unique: str, at_hand: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = token()
    settings = settings_of(embedded_broker, unique, at_hand, enabled=False)
    at_hand.handlers["api.github.com"] = github(live)
    monkeypatch.setattr("service.settings.load", lambda path: settings)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps({"secret": live.decode()}).encode())))

    async with running(settings):
        await produce(embedded_broker, settings.consume.topics[0], [b"GITHUB_TOKEN=" + live])
        await alerts(embedded_broker, settings, 1)
        assert await asyncio.to_thread(cli.main, ["recheck", "--publish"]) == 1
        first, second = await alerts(embedded_broker, settings, 2)

    assert (first["validity"], second["validity"]) == ("unchecked", "active")
    assert second["facts"]["account"] == "octocat"


def test_a_wrong_name_ends_the_start() -> None:
    settings = msgspec.structs.replace(Settings(), probe=Probe(skip=("Githubb",)))

    with pytest.raises(SettingsError, match=r"probe\.skip: 'Githubb'"):
        Service(msgspec.structs.replace(settings, fingerprint=msgspec.structs.replace(settings.fingerprint, key="k" * 32)))
