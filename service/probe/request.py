"""From a live check and a secret to the requests that ask for it.

The host is the catalogue's or the operator's. What comes from an event, the secret and its companions, is encoded for the
place where it goes, and what could mean something else there (another host, another path, a second header) is refused.
"""

from __future__ import annotations

import base64
import importlib
import json
import pkgutil
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, Protocol, cast
from urllib.parse import quote, urlencode

import msgspec

from service.probe import readers, signers
from service.records import PLACEHOLDER, LiveCheck, Secret

MAX_FILLED: Final = 8192
"""Characters of a secret or companion that is sent."""

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_SEGMENT: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~@:+-]{1,256}")
_PATH: Final = re.compile(r"[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*")
USER_AGENT: Final = "sluice-probe"


class Request(msgspec.Struct, frozen=True):
    """What is sent. It holds the secret: it has no repr, is never logged, and lives as long as the exchange."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return "<request>"


class UnaskableError(Exception):
    """The provider cannot be asked; ``reason`` is from a closed list: ``companion_missing``, ``companion_refused``,
    ``secret_refused``, ``endpoint_unset``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Signer(Protocol):
    """What a module of ``service/probe/signers/`` offers."""

    def sign(self, request: Request, arguments: Mapping[str, str]) -> Request:
        """The request with its signature. ``arguments`` are those of the table, filled in."""


@cache
def names() -> frozenset[str]:
    """The signers and readers by name, as detectors write them."""
    return frozenset(
        module.name.replace("_", "-") for package in (signers, readers) for module in pkgutil.iter_modules(package.__path__)
    )


def requests(live: LiveCheck, secret: Secret, companions: Mapping[str, Secret], endpoints: Mapping[str, str]) -> list[Request]:
    """The requests that ask for a secret, one for each origin, in the order in which they are sent.

    Args:
        live: how to ask.
        secret: what is asked for.
        companions: what was found beside it, by name.
        endpoints: the operator's, by name: one URL or more, separated by blanks.

    Raises:
        UnaskableError: something is missing, or means something else where it would go.
    """
    values = _values(secret, companions)
    if live.part:
        values["part"] = _part(values["secret"], live.part)
    named = endpoints.get(live.endpoint, "").split() if live.endpoint else []
    origins = named or [origin for origin in (live.origin, *live.also) if origin]
    if not origins:
        raise UnaskableError("endpoint_unset")
    path = _fill(live.path, values, _in_path)
    if live.query:
        asked = urlencode({key: _fill(value, values, _plain) for key, value in live.query.items()}, quote_via=quote)
        path += ("&" if "?" in path else "?") + asked
    headers = {"Accept": "application/json", "User-Agent": USER_AGENT}
    headers |= {name: _fill(value, values, _in_header) for name, value in live.headers.items()}
    if live.basic:
        pair = _fill(live.basic, values, _plain).encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    body = b""
    if live.form:
        body = urlencode({key: _fill(value, values, _plain) for key, value in live.form.items()}).encode()
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif live.json is not None:
        body = json.dumps(_document(live.json, values)).encode()
        headers["Content-Type"] = "application/json"
    found = []
    for origin in origins:
        url = _fill(origin, _labels(origin, values), _in_host).rstrip("/") + path
        found.append(Request(live.method, url, headers, body))
    if live.sign:
        arguments = {key: _fill(value, values, _plain) for key, value in live.sign.items()}
        found = [signer(arguments["by"]).sign(request, arguments) for request in found]
    return found


def signer(name: str) -> Signer:
    """The signer of this name."""
    return cast(Signer, importlib.import_module(f"{signers.__name__}.{name.replace('-', '_')}"))


def _values(secret: Secret, companions: Mapping[str, Secret]) -> dict[str, str]:
    found = {}
    for name, value in (*companions.items(), ("secret", secret)):
        try:
            text = value.reveal().decode("utf-8")
        except UnicodeDecodeError:
            text = ""
        if not text or len(text) > MAX_FILLED or not text.isprintable():
            raise UnaskableError("secret_refused" if name == "secret" else "companion_refused")
        found[name] = text
    return found


def _labels(origin: str, values: Mapping[str, str]) -> Mapping[str, str]:
    """The values for an origin: where one is the first label of its host, the whole host, or its URL, says the same."""
    found = PLACEHOLDER.search(origin)
    if found is None or origin[: found.start()] != "https://" or found[1] not in values:
        return values
    fixed = origin[found.end() :]
    value = values[found[1]].removeprefix("https://").removesuffix("/")
    return {**values, found[1]: value[: -len(fixed)]} if value.endswith(fixed) else values


def _part(secret: str, expression: str) -> str:
    """What the group of an expression holds: a plain path or a label, or nothing is asked."""
    found = re.fullmatch(expression, secret)
    if found is None or not _PATH.fullmatch(found[1]):
        raise UnaskableError("secret_refused")
    return found[1]


def _fill(template: str, values: Mapping[str, str], encode: Callable[[str, str], str]) -> str:
    def filled(match: re.Match[str]) -> str:
        name = match[1]
        if name not in values:
            raise UnaskableError("companion_missing")
        return encode(name, values[name])

    return PLACEHOLDER.sub(filled, template)


def _document(document: Any, values: Mapping[str, str]) -> Any:
    if isinstance(document, str):
        return _fill(document, values, _plain)
    if isinstance(document, dict):
        return {key: _document(value, values) for key, value in document.items()}
    if isinstance(document, list):
        return [_document(value, values) for value in document]
    return document


def _plain(name: str, value: str) -> str:
    return value


def _in_header(name: str, value: str) -> str:
    if not value.isascii():  # nothing but printable characters has come so far
        raise _refused(name)
    return value


def _in_path(name: str, value: str) -> str:
    if name == "part":
        return value
    if not (_SEGMENT.fullmatch(value) if name != "secret" else value not in (".", "..")):
        raise _refused(name)
    return quote(value, safe=":@")


def _in_host(name: str, value: str) -> str:
    label = value.lower()
    if not value.isascii() or not _LABEL.fullmatch(label):  # lower() makes ASCII of some other letters
        raise _refused(name)
    return label


def _refused(name: str) -> UnaskableError:
    return UnaskableError("secret_refused" if name == "secret" else "companion_refused")
