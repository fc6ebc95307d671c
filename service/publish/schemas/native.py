"""The native alert, ``sluice.alert/1``.

A secret's first alert has ``update`` 0, and its ``alert_id`` is that of the place where it was seen. Later ones tell more
of the same secret: ``update`` counts on, ``first_alert_id`` names the first one, and ``alert_id`` is made from what is told
(occurrences, validity, confidence, severity, verdict). What comes twice has the same ``alert_id``, so it can be dropped;
what tells more has another. ``location`` is the place of the best evidence, ``places`` holds up to three different ones.
An alert that its topic does not take whole comes with its texts cut, and ``shortened`` true.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from service.publish import remediation
from service.publish.fingerprint import Fingerprinter
from service.publish.redact import redact
from service.records import Finding, Knowledge, Location, Part

SCHEMA: Final = "sluice.alert/1"


MOST_TEXT: Final = 2048
"""Characters of what an event tells of its place; of more the end is left out."""
SHORTENED_TEXT: Final = 100
"""Characters of any text of an alert that its topic does not take whole."""
_KEPT_WHOLE: Final = frozenset({"schema", "alert_id", "first_alert_id", "time", "detector", "secret", "topic", "tags"})


class Alert(msgspec.Struct, frozen=True):
    """What is published of a finding: no part of it holds the raw secret.

    ``body`` is the document of the native schema, ready to be encoded.
    """

    alert_id: str
    fingerprint: str
    severity: str
    body: dict[str, Any]


def render(
    finding: Finding,
    location: Location,
    fingerprinter: Fingerprinter,
    occurrences: int = 1,
    playbook_url: str = "",
    now: datetime | None = None,
    knowledge: Knowledge | None = None,
) -> Alert:
    """Makes the alert of a finding.

    Args:
        finding: what was found.
        location: where.
        fingerprinter: holds the organisation's key.
        occurrences: how often the secret stands in the record.
        playbook_url: begins the link to the playbook; a path alone if empty.
        now: the time of the alert.
        knowledge: what is known of the provider, for the next steps.
    """
    candidate, detector = finding.candidate, finding.candidate.detector
    secret = candidate.secret
    fingerprint = fingerprinter.secret(secret)
    alert_id = fingerprinter.alert(
        location.topic or "",
        location.partition,
        location.offset,
        location.event,
        location.path or "",
        location.field,
        location.line or 0,
        detector.id,
        fingerprint,
    )
    at = iso((now or datetime.now(UTC)).timestamp())
    told = place_of(location)
    seen = seen_at(location, now)
    prefix = detector.prefix_of(secret.reveal())
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "alert_id": alert_id,
        "first_alert_id": alert_id,
        "update": 0,
        "time": at,
        "detector": {
            "id": detector.id,
            "name": detector.name,
            "provider": detector.provider,
            "category": detector.category,
        },
        "severity": finding.severity.value,
        "confidence": finding.confidence.value,
        "validity": finding.validity.value,
        "secret": {"redacted": redact(secret, prefix), "fingerprint": fingerprint, "length": len(secret)},
        "encoding": candidate.encoding,
        "location": told,
        "places": [told],
        "checks": dict(finding.checks),
        "reasons": list(finding.reasons),
        "facts": dict(finding.facts),
        "parts": [_part(part, fingerprinter) for part in finding.parts],
        "tags": list(finding.tags),
        "occurrences": occurrences,
        "first_seen": seen,
        "last_seen": seen,
        "remediation": remediation.advise(detector, location, finding.validity, playbook_url, knowledge),
    }
    return Alert(alert_id, fingerprint, finding.severity.value, body)


def iso(moment: float) -> str:
    """A time in seconds since the epoch, as alerts tell it."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def place_of(location: Location) -> dict[str, Any]:
    """A location as alerts tell it."""
    return {key: _short(value) for key, value in msgspec.structs.asdict(location).items() if value is not None}


def seen_at(location: Location, now: datetime | None = None) -> str:
    """When a secret was seen: the time its event tells, or now."""
    return _short(location.time) if location.time else iso((now or datetime.now(UTC)).timestamp())


def shortened(body: dict[str, Any]) -> dict[str, Any]:
    """An alert whose topic does not take it whole: its texts cut, lists to their first, with ``shortened`` to say so.

    What tells it from others, and where its record is, stays as it is.
    """
    return {key: value if key in _KEPT_WHOLE else _cut(value) for key, value in body.items()} | {"shortened": True}


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= SHORTENED_TEXT else value[:SHORTENED_TEXT] + "…"
    if isinstance(value, dict):
        return {key: value[key] if key in _KEPT_WHOLE else _cut(value[key]) for key in value}
    return [_cut(one) for one in value[:1]] if isinstance(value, list) else value


def _short(value: Any) -> Any:
    return value[:MOST_TEXT] + "…" if isinstance(value, str) and len(value) > MOST_TEXT else value


def _part(part: Part, fingerprinter: Fingerprinter) -> dict[str, str]:
    shown = part.secret.reveal().decode("utf-8", "replace") if part.harmless else redact(part.secret, b"")
    return {"name": part.name, "value": shown, "fingerprint": fingerprinter.secret(part.secret)}
