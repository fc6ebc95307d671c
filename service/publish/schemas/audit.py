"""What was found and yet not alerted, ``sluice.audit/1``: for whoever wants to know why there is silence."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec

from service.publish.fingerprint import Fingerprinter
from service.publish.redact import redact
from service.publish.schemas import native
from service.publish.sinks.kafka import Message
from service.records import Candidate, Location

SCHEMA: Final = "sluice.audit/1"
_TAKEN: Final = ("detector", "severity", "confidence", "validity", "secret", "encoding", "location", "occurrences")
_encode: Final = msgspec.json.Encoder().encode


class Audit:
    """Makes the records, or none if there is no topic for them.

    Args:
        topic: where they go.
        fingerprinter: holds the organisation's key.
    """

    def __init__(self, topic: str | None, fingerprinter: Fingerprinter) -> None:
        self._topic = topic
        self._fingerprinter = fingerprinter
        self._noted: dict[tuple[str | None, int], list[Message]] = {}

    def note(self, candidate: Candidate, location: Location, reason: str, clause: str) -> None:
        """A candidate was dropped, for a reason of the closed list; ``clause`` says it for people, without the secret."""
        if self._topic is None:
            return
        detector, secret = candidate.detector, candidate.secret
        fingerprint = self._fingerprinter.secret(secret)
        shown = redact(secret, detector.prefix_of(secret.reveal()))
        body = {
            "detector": {
                "id": detector.id,
                "name": detector.name,
                "provider": detector.provider,
                "category": detector.category,
            },
            "secret": {"redacted": shown, "fingerprint": fingerprint, "length": len(secret)},
            "encoding": candidate.encoding,
            "location": native.place_of(location),
        }
        message = Message(self._topic, fingerprint.encode(), _document(body, reason, clause))
        self._noted.setdefault((location.topic, location.partition), []).append(message)

    def taken(self, topic: str, partition: int) -> list[Message]:
        """What was noted of a partition since."""
        return self._noted.pop((topic, partition), [])

    def of_alert(self, body: dict[str, Any], reason: str, clause: str) -> list[Message]:
        """The record of an alert that is kept back."""
        if self._topic is None:
            return []
        taken: dict[str, Any] = {name: body[name] for name in _TAKEN if name in body}
        return [Message(self._topic, body["secret"]["fingerprint"].encode(), _document(taken, reason, clause))]


def _document(body: dict[str, Any], reason: str, clause: str) -> bytes:
    return _encode({"schema": SCHEMA, "time": native.iso(time.time()), "reason": reason, "clause": clause, **body})
