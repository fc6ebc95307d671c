"""Providers on loopback: their own host names, real TLS under an authority of the test, their published replies."""

from __future__ import annotations

import datetime
import ipaddress
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service import app, proof
from service.detect import catalogue
from service.judge import evidence
from service.probe.prober import Prober
from service.records import (
    Candidate,
    Confidence,
    Detector,
    Finding,
    Part,
    Secret,
    Severity,
    Span,
    Validity,
)
from service.settings import Probe
from service.telemetry.metrics import Metrics

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def certificate(folder: Path, hosts: list[str]) -> tuple[Path, Path]:
    """A self-signed certificate for the hosts, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "providers of the tests")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([*map(x509.DNSName, hosts), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


class Names(AbstractResolver):
    """Resolves every name to the providers' port, or to what a test says; counts."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.addresses: dict[str, list[str]] = {}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        self.asked.append(host)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=self.port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self.addresses.get(host, ["127.0.0.1"])
        ]

    async def close(self) -> None:
        pass


class Providers:
    """Hosts and how they answer; every request that came."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.handlers: dict[str, Handler] = {}
        self.requests: list[tuple[str, str, str]] = []
        self.headers: list[Mapping[str, str]] = []
        self.bodies: list[bytes] = []
        self.names = Names(0)

    async def start(self, hosts: list[str]) -> None:
        cert, key = certificate(self.folder, hosts)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(cert, key)
        server = web.Application(client_max_size=1 << 20)
        server.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(server, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context, shutdown_timeout=0.1)
        await site.start()
        self.names.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        host = request.host.partition(":")[0]
        self.requests.append((request.method, host, request.path_qs))
        self.headers.append(request.headers)
        self.bodies.append(await request.read())
        handler = self.handlers.get(host)
        return await handler(request) if handler else web.Response(status=404)

    def settings(self, **more: Any) -> Probe:
        """Settings under which the providers are reached, quick where it does not matter."""
        base: dict[str, Any] = {
            "enabled": True,
            "ca_file": str(self.folder / "cert.pem"),
            "allow_private": tuple(HOSTS),
            "rate_per_provider": 1000.0,
            "timeout_ms": 2000,
            "attempts": 1,
        }
        return Probe(**{**base, **more})


HOSTS = [
    "api.stripe.com",
    "api.github.com",
    "git.acme.example",
    "gitlab.com",
    "slack.com",
    "hooks.slack.com",
    "sts.amazonaws.com",
    "sts.aliyuncs.com",
    "api.wepay.com",
    "wepayapi.com",
    "api.openai.com",
    "api.vercel.com",
    "api.mailgun.net",
    "api.eu.mailgun.net",
    "us7.api.mailchimp.com",
    "acme.myshopify.com",
    "registry.acme.example",
    "vault.acme.example",
    "api.twilio.com",
    "api.telegram.org",
    "api.elevenlabs.io",
]


@pytest.fixture
async def providers(tmp_path: Path) -> AsyncIterator[Providers]:
    found = Providers(tmp_path)
    await found.start(HOSTS)
    yield found
    await found.stop()


@pytest.fixture(scope="session")
def detectors() -> dict[str, Detector]:
    """The catalogue, by id."""
    return {detector.id: detector for detector in catalogue.load(catalogue.read(), evidence.names())}


def finding(
    detector: Detector,
    secret: bytes,
    companions: Mapping[str, bytes] | None = None,
    confidence: Confidence = Confidence.high,
    facts: Mapping[str, str] | None = None,
) -> Finding:
    candidate = Candidate(detector, Secret(secret), Span(0, len(secret)), Span(0, len(secret)), None, b"", b"")
    return Finding(
        candidate,
        Severity.high,
        confidence,
        {},
        [],
        facts or {},
        parts=[Part(name, Secret(value)) for name, value in (companions or {}).items()],
    )


class Results:
    """What a prober told."""

    def __init__(self) -> None:
        self.all: list[tuple[str, Validity, Mapping[str, str], str]] = []
        self.asked: list[float] = []

    def __call__(self, fingerprint: str, validity: Validity, facts: Mapping[str, str], reason: str, at: float) -> None:
        self.asked.append(at)
        self.all.append((fingerprint, validity, facts, reason))


async def prober(
    providers: Providers, metrics: Metrics | None = None, results: Results | None = None, **settings: Any
) -> Prober:
    """A started prober that knows the providers."""
    made = Prober(
        providers.settings(**settings),
        metrics or Metrics(),
        results or Results(),
        lambda detector: proof.secret_of(detector, random.Random()),
        app.harmless_facts,
        resolver=providers.names,
    )
    await made.start()
    return made
