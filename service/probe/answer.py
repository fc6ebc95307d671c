"""What a provider's answer says of a secret.

A refusal has to be told by the detector; whatever is not described is unknown, and unknown is never "safe".
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol, cast

import msgspec

from service.probe import readers
from service.records import Answer, LiveCheck, Validity

REASONS: Final[dict[str, str]] = {
    "accepted": "the provider accepts it",
    "limited": "the provider knows it, though it does not do what was asked",
    "refused": "the provider refuses it as a credential",
    "expired": "the provider says that it is over",
    "unexpected_answer": "the provider's answer says neither yes nor no",
    "page": "a page came back, not an answer of the API: a proxy or a firewall stands between",
    "rate_limited": "the provider asks us to wait",
    "server_error": "the provider has a fault of its own",
    "timeout": "the provider does not answer in time",
    "connection": "the provider cannot be reached",
    "dns": "the provider's name does not resolve",
    "address_refused": "the provider's name leads to an address that is not public, and the settings do not allow it",
    "tls": "the provider's certificate does not prove its name",
    "redirect": "the provider answers with a redirect, which is not followed",
    "provider_down": "the provider failed several times; it is left alone for a while",
    "control_failed": "the provider accepts a made-up secret too, so its yes means nothing",
    "control_unavailable": "whether the provider refuses a made-up secret could not be seen, so its yes is not believed",
    "unsure": "the provider refuses it here, as it might refuse a live one that is made for something else",
    "companion_missing": "what belongs to the secret was not found beside it",
    "companion_refused": "what was found beside the secret cannot be part of the request",
    "secret_refused": "the secret cannot be part of the request",
    "endpoint_unset": "probe.endpoints names no host of this kind",
    "no_check": "there is no harmless way to ask that Sluice knows",
    "canary": "a tripwire of somebody's: asking would set it off",
    "fault": "the check itself failed",
}
"""Every reason of an outcome, in words."""

LONGEST_FACT: Final = 200
LEAST_SCRUBBED: Final = 6


class Outcome(msgspec.Struct, frozen=True):
    """What is known of a secret after asking. ``reason`` is a key of :data:`REASONS`; no fact holds the secret."""

    validity: Validity
    reason: str
    facts: Mapping[str, str] = {}


class Reply(msgspec.Struct, frozen=True):
    """A provider's answer. Headers in lower case; the body cut at the bound of the client."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"<reply {self.status}>"

    def document(self) -> Any:
        """The body as JSON, None if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def is_page(self) -> bool:
        """True for HTML."""
        return self.headers.get("content-type", "").lower().startswith("text/html")


class Reader(Protocol):
    """What a module of ``service/probe/readers/`` offers."""

    def read(self, reply: Reply, document: Any) -> Outcome:
        """What the answer says."""


def read(live: LiveCheck, reply: Reply, secrets: Iterable[bytes] = ()) -> Outcome:
    """What an answer says, with the facts that the check asks for.

    Args:
        live: describes both outcomes.
        reply: the answer.
        secrets: what no fact may hold: the secret and its companions.
    """
    document = reply.document()
    outcome = reader(live.reader).read(reply, document) if live.reader else _described(live, reply, document)
    if outcome.validity is Validity.unknown:
        return outcome
    facts: dict[str, Any] = dict(outcome.facts)
    if outcome.validity is Validity.active:
        for name, place in live.facts.items():
            header = place.startswith("header:")
            facts[name] = reply.headers.get(place[7:].lower()) if header else at(document, place)
    return msgspec.structs.replace(outcome, facts=scrubbed(facts, secrets))


def reader(name: str) -> Reader:
    """The reader of this name."""
    return cast(Reader, importlib.import_module(f"{readers.__name__}.{name.replace('-', '_')}"))


def _described(live: LiveCheck, reply: Reply, document: Any) -> Outcome:
    accepted = "accepted" if reply.status < 300 else "limited"
    said = {
        (validity, reason)
        for validity, reason, answers in (
            (Validity.active, accepted, live.active),
            (Validity.inactive, "refused", live.inactive),
            (Validity.unknown, "unsure", live.unsure),
        )
        if any(isinstance(one, Answer) and _holds(one, reply, document) for one in answers)
    }
    if len(said) == 1:
        return Outcome(*said.pop())
    if not said:
        if reply.is_page and reply.status != 401:
            return Outcome(Validity.unknown, "page")
        if reply.status in live.active:
            return Outcome(Validity.active, accepted)
        if reply.status in live.inactive:
            return Outcome(Validity.inactive, "refused")
        if reply.status in live.unsure:
            return Outcome(Validity.unknown, "unsure")
    return Outcome(Validity.unknown, general(reply.status))


def general(status: int) -> str:
    """Why a status that nobody described says nothing."""
    if status == 429:
        return "rate_limited"
    if status >= 500:
        return "server_error"
    return "redirect" if 300 <= status < 400 else "unexpected_answer"


def _holds(answer: Answer, reply: Reply, document: Any) -> bool:
    if answer.status and reply.status not in answer.status:
        return False
    if answer.text and answer.text.encode() not in reply.body:
        return False
    if not answer.json:
        return True
    return document is not None and all(_is(at(document, place), wanted) for place, wanted in answer.json.items())


def _is(found: Any, wanted: Any) -> bool:
    if wanted == "*":
        return found is not None
    if wanted == "-":
        return found is None
    return any(type(found) is type(one) and found == one for one in (wanted if isinstance(wanted, list) else [wanted]))


def at(document: Any, place: str) -> Any:
    """What stands at a dotted path of a document, None if nothing does."""
    for part in place.split("."):
        if isinstance(document, dict):
            document = document.get(part)
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document


def scrubbed(facts: Mapping[str, Any], secrets: Iterable[bytes]) -> dict[str, str]:
    """The facts as short printable text; those that hold a secret, or are none, are left out."""
    hidden = [text for secret in secrets if len(text := secret.decode("utf-8", "replace")) >= LEAST_SCRUBBED]
    found = {}
    for name, value in facts.items():
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, str | int | float) for part in parts):
            continue
        text = ", ".join(str(part).lower() if isinstance(part, bool) else str(part) for part in parts)
        if text and text.isprintable() and not any(secret in text for secret in hidden):
            found[name] = text[:LONGEST_FACT]
    return found
