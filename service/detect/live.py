"""What a live check may say: where it asks, what it sends, and how both answers are told apart.

Whatever an event holds, a secret goes to a host that stands in the catalogue or in the operator's settings. This is where
that is made sure of, once, when the files are read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from service.records import PLACEHOLDER, Answer, LiveCheck

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.[a-z]{{2,}}")
_FILLED_LABEL: Final = re.compile(r"[a-z0-9-]*\{([^{}]+)\}[a-z0-9-]*\.")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OURS: Final = frozenset(("host", "content-length", "transfer-encoding", "connection", "cookie", "accept-encoding"))
_FACT: Final = re.compile(r"[a-z][a-z_]*")
_ENDPOINT: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LEAST_FIXED_LABELS: Final = 2


def faults(live: LiveCheck, companions: Sequence[str], known: Collection[str] | None = None) -> Iterator[tuple[str, str]]:
    """What is wrong with a live check: the key, and what was expected.

    Args:
        live: the check.
        companions: the names that may stand in braces beside ``secret``.
        known: the names of signers and readers; None leaves them unproved.
    """
    yield from _places(live)
    yield from _fillings(live, companions)
    yield from _outcomes(live)
    if known is not None:
        for key, name in (("sign", live.sign.get("by", "")), ("reader", live.reader)):
            if name and name not in known:
                yield key, f"there is no {name!r} in service/probe"


def _places(live: LiveCheck) -> Iterator[tuple[str, str]]:
    if not live.url.isascii() or re.search(r"[\s#\\]", PLACEHOLDER.sub("", live.url)):
        yield "url", "ASCII without blanks, '#' and '\\' expected"
    if live.origin:
        yield from _origin("url", live.origin)
    elif not live.endpoint:
        yield "endpoint", "the operator's name for the host expected, since `url` is a path"
    if live.endpoint and not _ENDPOINT.fullmatch(live.endpoint):
        yield "endpoint", "lower-case words joined by '-' expected"
    for other in live.also:
        yield from _origin("also", other)
    if live.part:
        try:
            groups = re.compile(live.part).groups
        except re.error:
            groups = 0
        if groups != 1:
            yield "part", "an expression with one group expected"


def _origin(key: str, origin: str) -> Iterator[tuple[str, str]]:
    if not origin.startswith("https://"):
        yield key, "https:// expected"
        return
    host = origin.removeprefix("https://")
    filled = _FILLED_LABEL.match(host)
    fixed = host[filled.end() :] if filled else host
    if filled and filled[1] == "secret":
        yield key, "the secret may not choose the host"
    if not _HOST.fullmatch(fixed) or fixed.count(".") + 1 < _LEAST_FIXED_LABELS:
        yield key, f"{host!r}: a fixed host in lower case expected, at most its first label a companion"


def _fillings(live: LiveCheck, companions: Sequence[str]) -> Iterator[tuple[str, str]]:
    allowed = {"secret", *companions} | ({"part"} if live.part else set())
    used = set()
    for key, template in _templates(live):
        for name in PLACEHOLDER.findall(template):
            used.add(name)
            if name not in allowed:
                yield key, f"{{{name}}}: {{secret}} or one of `companions` expected"
    if not used & {"secret", "part"}:
        yield "url", "{secret} is sent nowhere"
    for name, value in live.headers.items():
        if not _HEADER.fullmatch(name) or name.lower() in _OURS or not value.isprintable():
            yield "headers", f"{name!r}: a header of the request, other than those of the connection, expected"
    if live.basic and ":" not in live.basic:
        yield "basic", "user:password expected"
    if live.form and live.json is not None:
        yield "json", "`form` or `json` expected, not both"
    if (live.form or live.json is not None) and live.method != "POST":
        yield "method", "POST expected where something is sent"
    if live.sign and "by" not in live.sign:
        yield "sign", "`by`, the signer's name, expected"


def _templates(live: LiveCheck) -> Iterator[tuple[str, str]]:
    yield "url", live.url
    yield "basic", live.basic
    for key in ("headers", "query", "form", "sign"):
        for value in getattr(live, key).values():
            yield key, value
    for text in strings(live.json):
        yield "json", text


def strings(document: Any) -> Iterator[str]:
    """Every string of a JSON document, names of members left out."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for value in document.values():
            yield from strings(value)
    elif isinstance(document, list):
        for value in document:
            yield from strings(value)


def _outcomes(live: LiveCheck) -> Iterator[tuple[str, str]]:
    if not live.reader:
        if not live.active:
            yield "active", "at least one status or answer expected"
        if not live.inactive and not live.unsure:
            yield "inactive", "at least one status or answer expected, or `unsure`"
    for key, answers in (("active", live.active), ("inactive", live.inactive), ("unsure", live.unsure)):
        for answer in answers:
            if isinstance(answer, Answer) and not (answer.status or answer.json or answer.text):
                yield key, "`status`, `json` or `text` expected"
        if any(not 200 <= status <= 499 or 300 <= status <= 399 for status in _statuses(answers)):
            yield key, "a status from 200 to 299 or 400 to 499 expected: no other says anything of the secret"
    plain = [one for answers in (live.active, live.inactive, live.unsure) for one in answers if isinstance(one, int)]
    if twice := {one for one in plain if plain.count(one) > 1}:
        yield "inactive", f"{min(twice)} stands for two outcomes"
    for name, place in live.facts.items():
        if not _FACT.fullmatch(name) or not place:
            yield "facts", f"{name!r}: a lower-case name and a dotted path expected"


def _statuses(answers: Iterable[int | Answer]) -> Iterator[int]:
    for answer in answers:
        yield from (answer,) if isinstance(answer, int) else answer.status
