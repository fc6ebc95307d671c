"""An Apache Kafka behind closed doors, and the certificates, accounts and tokens that open them; all made here."""

import base64
import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from benchmarks.brokers import FOR_TESTS, ApacheKafka
from service.sources.embedded_broker import free_port
from tests.certificates import Authority

AUDIENCE = "kafka"


def _part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenEndpoint:
    """Gives signed tokens for a client's id and secret, as RFC 6749 has it; the broker checks the signature."""

    def __init__(self, folder: Path) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        numbers = self._key.public_key().public_numbers()
        n, e = (_part(number.to_bytes((number.bit_length() + 7) // 8)) for number in (numbers.n, numbers.e))
        self.keys = folder / "keys.json"
        self.keys.write_text(
            json.dumps({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "test", "n": n, "e": e}]})
        )
        self.secret = secrets.token_hex(16)
        self.asked = 0
        self.lifetime = 300
        self.audience = AUDIENCE
        self.url = ""
        self._runner: web.AppRunner | None = None

    def token(self, lifetime: int = 300, audience: str = AUDIENCE) -> str:
        now = int(time.time())
        claims = {"sub": "sluice", "iss": "test", "aud": audience, "scope": "kafka", "iat": now, "exp": now + lifetime}
        head = {"alg": "RS256", "typ": "JWT", "kid": "test"}
        signed = f"{_part(json.dumps(head).encode())}.{_part(json.dumps(claims).encode())}"
        return f"{signed}.{_part(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        form = await request.post()
        given = base64.b64decode(request.headers.get("Authorization", " ").split(" ", 1)[1]).decode()
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        if given != f"client:{self.secret}":
            return web.json_response({"error": "invalid_client", "error_description": f"not {given}"}, status=401)
        token = self.token(self.lifetime, self.audience)
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime})

    async def __aenter__(self) -> "TokenEndpoint":
        application = web.Application()
        application.router.add_post("/token", self._answer)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/token"
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()


class GuardedKafka:
    """One node with a listener for each way in. Unknown users may connect, and then have no rights."""

    LISTENERS = ("PLAINTEXT", "TLS", "MTLS", "EXPIRED", "SASL", "OPEN")
    USERS = ("alice", "bob", "carol")
    """The first two may do everything, the third nothing."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder, "authority")
        self.stranger = Authority(folder, "stranger")
        self.tokens = TokenEndpoint(folder)
        self.passwords = {name: secrets.token_hex(12) for name in self.USERS}
        self.ports = {name: free_port() for name in self.LISTENERS}
        for name, days in (("broker", 20.0), ("expired", -1.0)):
            certificate, key = self.authority.issue(name, days)
            (folder / f"{name}.both.pem").write_bytes(key.read_bytes() + certificate.read_bytes())
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule required " + " ".join(
            f'user_{name}="{word}"' for name, word in self.passwords.items()
        )
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        bearer = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"
        keys = self.tokens.keys.as_uri()
        controller = free_port()
        listeners = ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items())
        self.kafka = ApacheKafka(
            folder,
            {
                "controller.quorum.voters": f"1@127.0.0.1:{controller}",
                "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
                "advertised.listeners": listeners,
                "inter.broker.listener.name": "PLAINTEXT",
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,MTLS:SSL,EXPIRED:SSL,"
                "SASL:SASL_SSL,OPEN:SASL_PLAINTEXT",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(folder / "broker.both.pem"),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(self.authority.file),
                "listener.name.expired.ssl.keystore.location": str(folder / "expired.both.pem"),
                "listener.name.mtls.ssl.client.auth": "required",
                "listener.name.sasl.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
                "listener.name.open.sasl.enabled.mechanisms": "PLAIN",
                "listener.name.open.plain.sasl.jaas.config": plain + ";",
                "listener.name.sasl.plain.sasl.jaas.config": plain + ";",
                "listener.name.sasl.scram-sha-256.sasl.jaas.config": scram,
                "listener.name.sasl.scram-sha-512.sasl.jaas.config": scram,
                "listener.name.sasl.oauthbearer.sasl.jaas.config": bearer,
                "listener.name.sasl.oauthbearer.sasl.server.callback.handler.class": "org.apache.kafka.common.security."
                "oauthbearer.OAuthBearerValidatorCallbackHandler",
                "listener.name.sasl.oauthbearer.sasl.oauthbearer.jwks.endpoint.url": keys,
                "listener.name.sasl.oauthbearer.sasl.oauthbearer.expected.audience": AUDIENCE,
                "listener.name.sasl.oauthbearer.sasl.oauthbearer.expected.issuer": "test",
                "listener.name.sasl.oauthbearer.connections.max.reauth.ms": "4000",
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS;User:alice;User:bob;User:sluice;User:CN=client;User:CN=locked",
            },
            scram={
                (mechanism, name): word
                for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
                for name, word in self.passwords.items()
            },
            java=(
                *FOR_TESTS,
                f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys}",
            ),
        )
        self.address = self.kafka.address
        self.idempotence, self.session_timeout_ms = True, 10_000

    def at(self, listener: str, host: str = "127.0.0.1") -> str:
        return f"{host}:{self.ports[listener]}"

    def __enter__(self) -> "GuardedKafka":
        self.kafka.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kafka.stop()


Keys = Callable[[GuardedKafka], dict[str, Any]]
"""The keys of ``[kafka]`` that open a door."""
