"""What people decided of a secret: the records of ``sluice.verdicts``, and what they silence.

The topic is compacted and keyed by fingerprint, the value is a JSON object:

    {"verdict": "false_positive", "by": "ann", "at": "2026-03-01T10:00:00Z", "reason": "test data", "until": "2027-01-01"}

``verdict`` is one of :class:`Kind`. ``by``, ``at`` (by default the record's time), ``reason`` and ``until`` may be left
out. A record without a value takes the verdict back.
"""

from __future__ import annotations

import enum
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from service.records import Validity

MOST_TEXT: Final = 1024
"""Characters of ``by`` and ``reason`` that are kept."""
_FINGERPRINT: Final = re.compile(rb"[0-9a-f]{64}\Z")


class Kind(enum.StrEnum):
    """What a person may decide."""

    true_positive = "true_positive"
    """A leak indeed: goes on alerting, and the alerts say who confirmed it."""
    false_positive = "false_positive"
    """Nobody's secret."""
    accepted_risk = "accepted_risk"
    """A secret that may stand there."""
    revoked = "revoked"
    """A secret that does not work any more; should the provider call it live after all, it alerts again."""
    used_in_tests = "used_in_tests"
    """A secret that opens nothing but a test's surroundings."""


class VerdictError(Exception):
    """A record is no verdict; the text says what is wrong with it and quotes nothing."""


class _Written(msgspec.Struct):
    """A verdict as its record holds it. Members that are not known are left alone."""

    verdict: str
    by: str = ""
    at: str | None = None
    reason: str = ""
    until: str | None = None


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What was decided. ``at`` and ``until`` are in seconds since the epoch."""

    verdict: Kind
    by: str
    at: float
    reason: str
    until: float | None = None

    def is_over(self, now: float) -> bool:
        """True once ``until`` is reached."""
        return self.until is not None and now >= self.until

    def silences(self, validity: str, asked: float, now: float) -> bool:
        """True if alerts of the secret are not to be sent.

        Args:
            validity: what the provider last said of it.
            asked: when; seconds since the epoch.
            now: seconds since the epoch.
        """
        if self.verdict is Kind.true_positive or self.is_over(now):
            return False
        return not (self.verdict is Kind.revoked and validity == Validity.active and asked > self.at)

    @property
    def named(self) -> str:
        """As a reason why something is not alerted."""
        return f"verdict_{self.verdict}"

    @property
    def clause(self) -> str:
        """The same for people."""
        return f"{self.by or 'somebody'}: {self.reason or 'no reason given'}"

    def told(self) -> dict[str, Any]:
        """The members that an alert, or the record, shows of it."""
        members = {"verdict": self.verdict.value, "by": self.by, "at": _text(self.at), "reason": self.reason}
        return members if self.until is None else {**members, "until": _text(self.until)}


def parse(key: bytes | None, value: bytes, timestamp: float) -> tuple[str, Verdict]:
    """Reads a record.

    Args:
        key: the fingerprint.
        value: the JSON object.
        timestamp: when the record was written, seconds since the epoch.

    Raises:
        VerdictError: it is no verdict.
    """
    fingerprint = fingerprint_of(key)
    try:
        written = msgspec.json.decode(value, type=_Written)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        place = str(error).rpartition(" - at `$.")[2].rstrip("`") if " - at `$." in str(error) else ""
        wrong = f"{place}: a string expected" if place else "an object with the member `verdict` expected"
        raise VerdictError(wrong) from None
    try:
        kind = Kind(written.verdict)
    except ValueError:
        raise VerdictError(f"verdict: one of {', '.join(Kind)} expected") from None
    return fingerprint, Verdict(
        kind,
        written.by[:MOST_TEXT],
        seconds(written.at, "at") if written.at else timestamp,
        written.reason[:MOST_TEXT],
        seconds(written.until, "until") if written.until else None,
    )


def fingerprint_of(key: bytes | None) -> str:
    """The fingerprint that is a record's key.

    Raises:
        VerdictError: it is none.
    """
    if key is None or not _FINGERPRINT.match(key):
        raise VerdictError("key: a fingerprint expected, 64 hexadecimal digits in small letters")
    return key.decode()


def seconds(text: str, name: str) -> float:
    """A date, or a date and time, as seconds since the epoch; of UTC where no zone is told.

    Raises:
        VerdictError: it is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise VerdictError(f"{name}: a date such as 2027-01-01, or a time such as 2027-01-01T10:00:00Z expected") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class Verdicts:
    """The verdicts that hold, by fingerprint.

    Args:
        most: how many are kept; when there are more, the ones that were read first are dropped.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, Verdict] = {}
        self.dropped = 0
        """Verdicts that found no room."""

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[tuple[str, Verdict]]:
        return iter(self._held.items())

    def apply(self, key: bytes | None, value: bytes | None, timestamp: float) -> None:
        """Takes in a record of the topic; arguments and errors as those of :func:`parse`."""
        if value is None:
            self._held.pop(fingerprint_of(key), None)
            return
        fingerprint, verdict = parse(key, value, timestamp)
        self._held.pop(fingerprint, None)  # the one written last stands last
        if verdict.is_over(time.time()):
            return
        self._held[fingerprint] = verdict
        if len(self._held) > self._most:
            del self._held[next(iter(self._held))]
            self.dropped += 1

    def of(self, fingerprint: str, now: float) -> Verdict | None:
        """The verdict that holds for a secret."""
        verdict = self._held.get(fingerprint)
        if verdict is not None and verdict.is_over(now):
            del self._held[fingerprint]
            return None
        return verdict
