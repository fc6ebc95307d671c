"""Every way into a guarded Apache Kafka, and what is told of every way that fails."""

import asyncio
import json
import random
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.brokers import MissingError
from service import proof
from service.app import Service
from service.consume import access
from service.errors import SettingsError, SourceError
from service.settings import Settings
from tests.conftest import missing
from tests.integration.guarded import GuardedKafka, Keys
from tests.integration.test_stream import produce, read, running, settings_for

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    try:
        broker = GuardedKafka(tmp_path_factory.mktemp("guarded"))
    except MissingError as error:
        missing(str(error))
    with broker:
        yield broker


def opened(broker: GuardedKafka, unique: str, **kafka: Any) -> Settings:
    settings = settings_for(broker, unique)
    return msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, **kafka))


def tls(broker: GuardedKafka, listener: str = "TLS") -> dict[str, Any]:
    return {
        "bootstrap_servers": broker.at(listener),
        "security_protocol": "SASL_SSL" if listener == "SASL" else "SSL",
        "ssl_cafile": str(broker.authority.file),
    }


def certificate(broker: GuardedKafka, name: str = "client", password: str | None = None) -> dict[str, Any]:
    crt, key = broker.authority.issue(name, password=password)
    return {"ssl_certfile": str(crt), "ssl_keyfile": str(key), "ssl_key_password": password}


def account(broker: GuardedKafka, mechanism: str, name: str = "alice") -> dict[str, Any]:
    return {"sasl_mechanism": mechanism, "sasl_username": name, "sasl_password": broker.passwords[name]}


def client(broker: GuardedKafka) -> dict[str, Any]:
    return {
        "sasl_mechanism": "OAUTHBEARER",
        "sasl_oauth_url": broker.tokens.url,
        "sasl_oauth_client_id": "client",
        "sasl_oauth_client_secret": broker.tokens.secret,
        "sasl_oauth_scope": "kafka",
    }


def token_file(broker: GuardedKafka) -> dict[str, Any]:
    path = broker.authority.file.parent / "token"
    path.write_text(broker.tokens.token() + "\n")
    return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_file": str(path)}


WAYS: dict[str, Keys] = {
    "TLS": tls,
    "a client certificate": lambda b: {**tls(b, "MTLS"), **certificate(b)},
    "a client certificate with a locked key": lambda b: {**tls(b, "MTLS"), **certificate(b, "locked", secrets.token_hex(8))},
    "PLAIN over TLS": lambda b: {**tls(b, "SASL"), **account(b, "PLAIN")},
    "PLAIN in the clear": lambda b: {
        "bootstrap_servers": b.at("OPEN"),
        "security_protocol": "SASL_PLAINTEXT",
        **account(b, "PLAIN"),
    },
    "SCRAM-SHA-256": lambda b: {**tls(b, "SASL"), **account(b, "SCRAM-SHA-256")},
    "SCRAM-SHA-512": lambda b: {**tls(b, "SASL"), **account(b, "SCRAM-SHA-512", "bob")},
    "OAUTHBEARER": lambda b: {**tls(b, "SASL"), **client(b)},
    "OAUTHBEARER from a file": lambda b: {**tls(b, "SASL"), **token_file(b)},
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_leak_comes_through_by(guarded: GuardedKafka, unique: str, way: str) -> None:
    async with guarded.tokens:
        settings = opened(guarded, unique, **WAYS[way](guarded))
        async with running(settings) as service:
            detector = next(d for d in service.detectors if d.id == "github-personal-access-token")
            secret = proof.secret_of(detector, random.Random(unique))
            await produce(guarded, settings.consume.topics[0], [b"TOKEN=" + secret])
            alerts = [json.loads(r.value) for r in await read(guarded, settings.publish.topic, 1)]

    assert [alert["secret"]["fingerprint"] for alert in alerts] == [service.fingerprint(secret)]


async def test_tokens_are_renewed_while_the_stream_goes_on(guarded: GuardedKafka, unique: str) -> None:
    """The broker ends sessions with their token, here after 4 s; the library then connects anew."""
    async with guarded.tokens:
        guarded.tokens.lifetime, guarded.tokens.asked = 4, 0
        try:
            settings = opened(guarded, unique, **tls(guarded, "SASL"), **client(guarded))
            async with running(settings) as service:
                detector = next(d for d in service.detectors if d.id == "github-personal-access-token")
                rng = random.Random(unique)
                planted = [proof.secret_of(detector, rng) for _ in range(12)]
                for secret in planted:
                    await produce(guarded, settings.consume.topics[0], [b"TOKEN=" + secret])
                    await asyncio.sleep(1.0)
                alerts = [json.loads(r.value) for r in await read(guarded, settings.publish.topic, len(planted))]
            asked = guarded.tokens.asked
        finally:
            guarded.tokens.lifetime = 300

    assert {alert["secret"]["fingerprint"] for alert in alerts} == {service.fingerprint(secret) for secret in planted}
    assert 3 <= asked <= 12, "renewed in time, and shared by the clients"


WRONG: dict[str, tuple[Keys, str]] = {
    "an authority that is not trusted": (
        lambda b: {**tls(b), "ssl_cafile": str(b.stranger.file)},
        r"certificate is not trusted: .*kafka\.ssl_cafile",
    ),
    "a name that the certificate does not bear": (
        lambda b: {**tls(b), "bootstrap_servers": b.at("TLS", "localhost")},
        "certificate is not for localhost",
    ),
    "a certificate that has ended": (lambda b: tls(b, "EXPIRED"), "certificate has expired"),
    "no certificate of ours": (lambda b: tls(b, "MTLS"), r"refuses our certificate, or that we have none.*kafka\.ssl_certfile"),
    "a certificate of a stranger": (
        lambda b: {
            **tls(b, "MTLS"),
            **dict(zip(("ssl_certfile", "ssl_keyfile"), map(str, b.stranger.issue("intruder")), strict=True)),
        },
        "refuses our certificate",
    ),
    "no TLS where there should be": (
        lambda b: {"bootstrap_servers": b.at("TLS")},
        r"this listener speaks TLS; set kafka\.security_protocol",
    ),
    "TLS where there is none": (lambda b: tls(b, "PLAINTEXT"), r"speaks no TLS; set kafka\.security_protocol"),
    "no SASL where there should be": (lambda b: {**tls(b, "SASL"), "security_protocol": "SSL"}, "may want SASL"),
    "SASL where there is none": (
        lambda b: {**tls(b), "security_protocol": "SASL_SSL", **account(b, "SCRAM-SHA-256")},
        "does without SASL",
    ),
    "a wrong password, PLAIN": (
        lambda b: {**tls(b, "SASL"), **account(b, "PLAIN"), "sasl_password": "wrong-word"},
        r"refuses the user 'alice' or the password \(PLAIN\)",
    ),
    "a wrong password, SCRAM": (
        lambda b: {**tls(b, "SASL"), **account(b, "SCRAM-SHA-512"), "sasl_password": "wrong-word"},
        r"refuses the user 'alice' or the password \(SCRAM-SHA-512\)",
    ),
    "a mechanism that is not offered": (
        lambda b: {
            "bootstrap_servers": b.at("OPEN"),
            "security_protocol": "SASL_PLAINTEXT",
            **account(b, "SCRAM-SHA-256"),
        },
        r"SCRAM-SHA-256 is not among its mechanisms: PLAIN;",
    ),
    "a wrong client's secret": (
        lambda b: {**tls(b, "SASL"), **client(b), "sasl_oauth_client_secret": "wrong-word"},
        r"no token for it: kafka\.sasl_oauth_url: http://[^ ]* answered 401 \(invalid_client\)",
    ),
    "a token file that is not there": (
        lambda b: {**tls(b, "SASL"), "sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_file": "/nowhere/token"},
        r"sasl_oauth_token_file: /nowhere/token cannot be read",
    ),
    "nobody there": (lambda b: {"bootstrap_servers": "127.0.0.1:1"}, "127.0.0.1:1: nobody listens there"),
    "a name that does not exist": (
        lambda b: {"bootstrap_servers": "kafka.invalid:9092"},
        r"the name kafka\.invalid cannot be resolved",
    ),
}


@pytest.mark.parametrize("what", WRONG)
async def test_is_told(guarded: GuardedKafka, unique: str, what: str) -> None:
    keys, told = WRONG[what]
    async with guarded.tokens:
        settings = opened(guarded, unique, **keys(guarded))
        with pytest.raises(SourceError) as error:
            await asyncio.wait_for(Service(settings).run(), 60)

    text = str(error.value)
    assert re.search(told, text, re.DOTALL), text
    for secret in (*guarded.passwords.values(), guarded.tokens.secret, "wrong-word"):
        assert secret not in text


async def test_a_token_for_somebody_else_is_told(guarded: GuardedKafka, unique: str) -> None:
    async with guarded.tokens:
        guarded.tokens.audience = "another"
        try:
            settings = opened(guarded, unique, **tls(guarded, "SASL"), **client(guarded), client_id="another")
            with pytest.raises(SourceError, match=r"refuses the token \(OAUTHBEARER\)"):
                await asyncio.wait_for(Service(settings).run(), 60)
        finally:
            guarded.tokens.audience = "kafka"


async def test_no_kafka_at_all_is_told(unique: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        step = await access.probe(Settings(), "127.0.0.1", port)

    assert step.trouble == "this is no Kafka broker"


def test_a_locked_key_without_its_password_ends_the_start_instead_of_asking(guarded: GuardedKafka, unique: str) -> None:
    keys = {**tls(guarded, "MTLS"), **certificate(guarded, "locked", secrets.token_hex(8)), "ssl_key_password": None}

    with pytest.raises(SettingsError, match=r"kafka\.ssl_certfile.*kafka\.ssl_key_password"):
        access.connection(opened(guarded, unique, **keys))


@pytest.mark.parametrize("key", ["ssl_cafile", "ssl_certfile"])
def test_a_file_that_is_no_certificate_is_told_with_its_key(
    guarded: GuardedKafka, unique: str, key: str, tmp_path: Path
) -> None:
    (tmp_path / "nonsense").write_text("nonsense")

    with pytest.raises(SettingsError, match=rf"kafka\.{key}: .*nonsense"):
        access.connection(opened(guarded, unique, **{**tls(guarded), key: str(tmp_path / "nonsense")}))
