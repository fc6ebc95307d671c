"""How the broker lets us in: TLS, SASL, tokens; and, when it does not, what is in the way.

The client library says no more than that it cannot bootstrap. :func:`explained` therefore takes the same steps once more,
one by one: the name, the port, the TLS handshake, the first request, SASL, the addresses that the cluster advertises.
"""

from __future__ import annotations

import asyncio
import functools
import re
import socket
import ssl
import struct
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec
from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError, UnsupportedSaslMechanismError
from aiokafka.protocol.metadata import MetadataRequest

from service.errors import SettingsError, SourceError
from service.settings import Kafka, Settings
from service.telemetry import logs

_log = logs.get("consume")
STEP_SECONDS: Final = 5.0
"""How long one step of an explanation may take."""
_TOKEN_SECONDS: Final = 20.0
_MOST_TOKEN_BYTES: Final = 64 * 1024
_RENEWED_AT: Final = 0.8
"""Of its lifetime a token is used so much."""
_API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""The first request of every conversation, in version 0: all brokers answer it, before any authentication."""
_HOST_MISMATCH: Final = (62, 64)
_EXPIRED: Final = 10


class TokenError(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """No token could be had; the library takes it for a connection that failed, and tries again."""


class TokenFile(AbstractTokenProvider):  # type: ignore[misc]
    """A token that somebody else keeps fresh in a file."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    async def token(self) -> str:
        """The file's content, as it is now."""
        try:
            found = (await asyncio.to_thread(self._path.read_text, "ascii")).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise TokenError(f"kafka.sasl_oauth_token_file: {self._path} cannot be read: {type(error).__name__}") from error
        if not found:
            raise TokenError(f"kafka.sasl_oauth_token_file: {self._path} is empty")
        return found


class ClientCredentials(AbstractTokenProvider):  # type: ignore[misc]
    """Tokens for client id and secret (RFC 6749, section 4.4), renewed before they end."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._token = ""
        self._renew_at = self._ends_at = 0.0
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """A token that holds for a while; the former one as long as it does, if there is no new one."""
        async with self._lock:
            if time.monotonic() >= self._renew_at:
                try:
                    await self._fetch()
                except TokenError as error:
                    if time.monotonic() >= self._ends_at:
                        raise
                    _log.warning("token not renewed, the former one still holds", reason=str(error))
            return self._token

    async def _fetch(self) -> None:
        kafka = self._kafka
        url = str(kafka.sasl_oauth_url)
        form = {"grant_type": "client_credentials", **({"scope": kafka.sasl_oauth_scope} if kafka.sasl_oauth_scope else {})}
        login = aiohttp.BasicAuth(str(kafka.sasl_oauth_client_id), str(kafka.sasl_oauth_client_secret))
        timeout = aiohttp.ClientTimeout(total=_TOKEN_SECONDS)
        context = ssl.create_default_context(cafile=kafka.ssl_cafile)
        asked_at = time.monotonic()
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, auth=login) as session,
                # no redirects: the secret is for this address alone
                session.post(url, data=form, ssl=context, allow_redirects=False) as answer,
            ):
                body = await answer.content.read(_MOST_TOKEN_BYTES)
                document = _json(body)
                if answer.status != 200:
                    code = str(document.get("error", ""))
                    told = f" ({code})" if re.fullmatch(r"[a-z_]{1,40}", code) else ""
                    raise TokenError(f"kafka.sasl_oauth_url: {url} answered {answer.status}{told}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TokenError(f"kafka.sasl_oauth_url: {url} cannot be asked: {_told(error)}") from error
        token, lifetime = document.get("access_token"), document.get("expires_in", 300)
        if not isinstance(token, str) or not token or not token.isascii() or not isinstance(lifetime, int | float):
            raise TokenError(f"kafka.sasl_oauth_url: {url} answered 200 without an access_token")
        self._token = token
        self._renew_at = asked_at + _RENEWED_AT * lifetime
        self._ends_at = asked_at + lifetime


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return document if isinstance(document, dict) else {}


@functools.lru_cache(maxsize=8)
def _tokens(kafka: Kafka) -> AbstractTokenProvider:
    """One for all clients of the same settings, so that they share a token."""
    return TokenFile(kafka.sasl_oauth_token_file) if kafka.sasl_oauth_token_file else ClientCredentials(kafka)


def connection(settings: Settings) -> dict[str, Any]:
    """What every client of the broker is given.

    Raises:
        SettingsError: a certificate or key cannot be used.
    """
    kafka = settings.kafka
    return {
        "bootstrap_servers": [server.strip() for server in kafka.bootstrap_servers.split(",")],
        "client_id": kafka.client_id,
        **_door(kafka),
    }


def _door(kafka: Kafka) -> dict[str, Any]:
    given: dict[str, Any] = {"security_protocol": kafka.security_protocol}
    if kafka.security_protocol.endswith("SSL"):
        given["ssl_context"] = _context(kafka)
    if kafka.security_protocol.startswith("SASL"):
        given["sasl_mechanism"] = kafka.sasl_mechanism
        if kafka.sasl_mechanism == "OAUTHBEARER":
            given["sasl_oauth_token_provider"] = _tokens(kafka)
        else:
            given["sasl_plain_username"] = kafka.sasl_username
            given["sasl_plain_password"] = kafka.sasl_password
    return given


def _context(kafka: Kafka) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_cafile)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"kafka.ssl_cafile: {kafka.ssl_cafile} cannot be used: {_told(error)}") from error
    if kafka.ssl_certfile:
        try:
            # a password that is asked for on a terminal would hang a service
            context.load_cert_chain(kafka.ssl_certfile, kafka.ssl_keyfile, lambda: kafka.ssl_key_password or "")
        except (OSError, ssl.SSLError) as error:
            what = f"{kafka.ssl_certfile} with {kafka.ssl_keyfile or 'the key inside'}"
            hint = "; do they belong together, and is kafka.ssl_key_password right?" if isinstance(error, ssl.SSLError) else ""
            raise SettingsError(f"kafka.ssl_certfile: {what} cannot be used: {_told(error)}{hint}") from error
    return context


def _told(error: BaseException) -> str:
    """What an error of the network says, in as few words as it can."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    if isinstance(error, ssl.SSLError):
        return str(error.reason or "OpenSSL refuses").lower().replace("_", " ")
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror)
    return str(error) or type(error).__name__


class Step(NamedTuple):
    """How far one address lets us in. ``trouble`` is None where all the way."""

    address: str
    trouble: str | None
    advice: str = ""
    certificate_ends: float | None = None
    """When the broker's certificate ends, seconds since 1970; None without TLS."""
    advertised: tuple[tuple[str, int], ...] = ()
    """The brokers that it knows, as it tells clients to reach them."""


async def probe(settings: Settings, host: str, port: int) -> Step:
    """Takes one address step by step, as far as it goes.

    Raises:
        SettingsError: a certificate or key of ours cannot be used.
    """
    kafka = settings.kafka
    address = f"{host}:{port}"
    door = _door(kafka)
    context: ssl.SSLContext | None = door.get("ssl_context")
    try:
        async with asyncio.timeout(STEP_SECONDS):
            await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return Step(address, f"the name {host} cannot be resolved", "check kafka.bootstrap_servers and the DNS of this machine")
    ends, trouble, advice = await _first_words(host, port, context)
    if trouble:
        return Step(address, trouble, advice, ends)
    try:
        async with asyncio.timeout(STEP_SECONDS + _TOKEN_SECONDS):
            link = await create_conn(host, port, client_id=kafka.client_id, request_timeout_ms=int(STEP_SECONDS * 1000), **door)
    except UnsupportedSaslMechanismError:
        offered = ", ".join(await _mechanisms(host, port, context, kafka.sasl_mechanism))
        what = f"{kafka.sasl_mechanism} is not among its mechanisms: {offered}"
        return Step(address, what, "set kafka.sasl_mechanism to one that it has", ends)
    except TokenError as error:
        return Step(address, f"no token for it: {error.args[0]}", "check kafka.sasl_oauth_…", ends)
    except (KafkaError, OSError, TimeoutError) as error:
        return Step(address, *_refused(kafka, error), ends)
    try:
        answer = await link.send(MetadataRequest([]))
        if not answer.brokers:
            raise KafkaError
    except (KafkaError, OSError, TimeoutError, ValueError) as error:
        if kafka.security_protocol.startswith("SASL"):
            # the library takes the error of RFC 7628, 3.2.2, for a welcome, and the broker's last word for an answer
            return Step(address, *_refused(kafka, error), ends)
        hint = "this listener may want SASL: set kafka.security_protocol to SASL_…"
        return Step(address, "it ends the connection at the first request after the greeting", hint, ends)
    finally:
        link.close()
    return Step(address, None, "", ends, tuple((str(one[1]), int(one[2])) for one in answer.brokers))


def _refused(kafka: Kafka, error: Exception) -> tuple[str, str]:
    """What is told of an error of SASL."""
    name = type(error).__name__
    if not kafka.security_protocol.startswith("SASL"):
        return f"the broker ends the conversation ({name})", "see the broker's log"
    if name == "IllegalSaslStateError":
        return "this listener does without SASL", "set kafka.security_protocol to PLAINTEXT or SSL"
    who = "token" if kafka.sasl_mechanism == "OAUTHBEARER" else f"user {kafka.sasl_username!r} or the password"
    said = f": {error.args[0]}" if name.endswith("AuthenticationFailedError") and error.args and error.args[0] else ""
    return (
        f"the broker refuses the {who} ({kafka.sasl_mechanism}){said}",
        "check the account, and that it was made for this mechanism",
    )


async def _first_words(host: str, port: int, context: ssl.SSLContext | None) -> tuple[float | None, str | None, str]:
    """Connects, shakes hands, sends the first request. When the certificate ends, what is wrong, what to do."""
    ends: float | None = None
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(STEP_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            if context is not None and (shown := writer.get_extra_info("peercert")):
                ends = ssl.cert_time_to_seconds(shown["notAfter"])
            writer.write(_API_VERSIONS)
            head = await reader.readexactly(4)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _HOST_MISMATCH:
            return ends, f"its certificate is not for {host}", "use a name that is in the certificate, or have it issued anew"
        if error.verify_code == _EXPIRED:
            return ends, "its certificate has expired", "renew the broker's certificate"
        return (
            ends,
            f"its certificate is not trusted: {error.verify_message}",
            "name the authority that issued it in kafka.ssl_cafile",
        )
    except ssl.SSLError as error:
        reason = error.reason or ""
        if "ALERT" in reason:
            return (
                ends,
                f"it refuses our certificate, or that we have none: {_told(error)}",
                "set kafka.ssl_certfile and kafka.ssl_keyfile to a certificate that the broker trusts",
            )
        if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
            return ends, "this listener speaks no TLS", "set kafka.security_protocol to PLAINTEXT or SASL_PLAINTEXT"
        return ends, f"TLS fails: {_told(error)}", "see the broker's log"
    except ConnectionRefusedError:
        return ends, "nobody listens there", "is the broker up, and the port right?"
    except TimeoutError:
        return ends, f"no answer within {STEP_SECONDS:.0f} s", "is a firewall in the way, or TLS wanted where none is spoken?"
    except (asyncio.IncompleteReadError, ConnectionError):
        if context is None and await _speaks_tls(host, port):
            return ends, "this listener speaks TLS", "set kafka.security_protocol to SSL or SASL_SSL"
        if context is not None and await _speaks_plainly(host, port):
            return ends, "this listener speaks no TLS", "set kafka.security_protocol to PLAINTEXT or SASL_PLAINTEXT"
        return ends, "it ends the connection at once", "does it want a client certificate, or is it no Kafka broker?"
    except OSError as error:
        return ends, _told(error), "is this machine's network up?"
    finally:
        if writer is not None:
            writer.transport.abort()
    if context is None and head[:2] == b"\x15\x03":
        return ends, "this listener speaks TLS", "set kafka.security_protocol to SSL or SASL_SSL"
    if not 0 < int.from_bytes(head) < 1 << 20:
        return ends, "this is no Kafka broker", "check kafka.bootstrap_servers"
    return ends, None, ""


async def _mechanisms(host: str, port: int, context: ssl.SSLContext | None, wanted: str) -> list[str]:
    """Of SASL, as the broker tells when it refuses one."""
    body = struct.pack(">hhih", 17, 1, 1, -1) + struct.pack(">h", len(wanted)) + wanted.encode()
    try:
        async with asyncio.timeout(STEP_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.write(struct.pack(">i", len(body)) + body)
            size = int.from_bytes(await reader.readexactly(4))
            answer = await reader.readexactly(min(size, 1 << 16))
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return []
    writer.transport.abort()
    found, at = [], 10  # behind correlation id, error code and count
    while at + 2 <= len(answer):
        length = int.from_bytes(answer[at : at + 2])
        found.append(answer[at + 2 : at + 2 + length].decode("ascii", "replace"))
        at += 2 + length
    return found


async def _speaks_tls(host: str, port: int) -> bool:
    careless = ssl.create_default_context()
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE  # nothing is sent: only whether it shakes hands is looked at
    try:
        async with asyncio.timeout(STEP_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=careless)
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def _speaks_plainly(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(STEP_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(_API_VERSIONS)
            head = await reader.readexactly(4)
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    writer.transport.abort()
    return 0 < int.from_bytes(head) < 1 << 20


async def connect(settings: Settings) -> Any:
    """A single connection to the first server that lets us in, for questions that the library does not ask.

    Raises:
        SourceError: none does.
        SettingsError: a certificate or key of ours cannot be used.
    """
    last: Exception | None = None
    for host, port in servers(settings):
        try:
            return await create_conn(
                host, port, client_id=settings.kafka.client_id, request_timeout_ms=10_000, **_door(settings.kafka)
            )
        except (KafkaError, OSError, TimeoutError) as error:
            last = error
    assert last is not None
    raise await explained(settings, last) from last


def servers(settings: Settings) -> list[tuple[str, int]]:
    """The addresses to begin with."""
    pairs = (server.strip().rpartition(":") for server in settings.kafka.bootstrap_servers.split(","))
    return [(host.strip("[]"), int(port)) for host, _, port in pairs]


async def survey(settings: Settings) -> list[Step]:
    """Every address to begin with, and every one that the cluster advertises.

    Raises:
        SettingsError: a certificate or key of ours cannot be used.
    """
    begun = servers(settings)
    steps = list(await asyncio.gather(*(probe(settings, host, port) for host, port in begun)))
    told = {pair for step in steps for pair in step.advertised} - set(begun)
    for step in await asyncio.gather(*(probe(settings, host, port) for host, port in sorted(told))):
        if step.trouble:
            advice = "the cluster tells clients to come there: see advertised.listeners of that broker, or the network"
            step = step._replace(advice=f"{step.advice}; {advice}" if step.advice else advice)
        steps.append(step)
    return steps


async def explained(settings: Settings, error: Exception) -> SourceError:
    """What to tell when the broker does not let us in."""
    steps = await survey(settings)
    lines = [f"{step.address}: {step.trouble}; {step.advice}" for step in steps if step.trouble]
    if not lines:
        lines = ["all of its addresses let us in now: it may have been starting; `sluice doctor` looks at rights and topics"]
    return SourceError(f"{settings.kafka.bootstrap_servers}: cannot join: {_told(error)}\n  " + "\n  ".join(lines))
