"""What the commands that ask providers share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from service.errors import ExitCode, SluiceError, nearest
from service.probe.answer import REASONS, Outcome
from service.publish.redact import redact
from service.records import PLACEHOLDER, Confidence, Detector, Finding, LiveCheck, Secret, Validity

CODES = "Exit status: 0 refused by the provider, 1 active, 2 the work could not be done, 3 nobody could tell."


class Asked(NamedTuple):
    """What is asked about."""

    detector: Detector
    secret: Secret
    companions: Mapping[str, Secret]


def companions(live: LiveCheck) -> list[str]:
    """The names of what a check needs beside the secret, in the order in which its table has them."""
    found: dict[str, None] = {}
    for text in _texts([live.url, live.basic, live.headers, live.query, live.form, live.json, live.sign]):
        found |= dict.fromkeys(PLACEHOLDER.findall(text))
    return [name for name in found if name not in ("secret", "part")]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def named(detectors: Iterable[Detector], identity: str) -> Detector:
    """The detector of an id.

    Raises:
        SluiceError: there is none.
    """
    known = {detector.id: detector for detector in detectors}
    if identity not in known:
        raise SluiceError(f"{identity}: there is no such detector; {nearest(identity, list(known)).partition(', ')[0]}")
    return known[identity]


def recognised(loaded: Any, text: bytes) -> list[Asked]:
    """What stands in a text, as the scanner finds it, with what was found beside it."""
    from service import app

    found: Iterable[Finding] = app.inspector(loaded, Confidence.low).text(text)
    return [
        Asked(one.candidate.detector, one.candidate.secret, {part.name: part.secret for part in reversed(one.parts)})
        for one in found
        if one.candidate.detector.live is not None or not one.candidate.detector.is_generic
    ]


def row(asked: Asked, outcome: Outcome) -> dict[str, Any]:
    """An outcome for people and programs; the secret is masked."""
    detector = asked.detector
    return {
        "detector": detector.id,
        "name": detector.name,
        "provider": detector.provider,
        "secret": redact(asked.secret, detector.prefix_of(asked.secret.reveal())),
        "validity": outcome.validity.value,
        "reason": outcome.reason,
        "meaning": REASONS[outcome.reason],
        "facts": dict(outcome.facts),
    }


def code(validities: Iterable[Validity]) -> ExitCode:
    """The exit status for several outcomes: the worst of them; not knowing is never as good as being refused."""
    seen = set(validities)
    if Validity.active in seen:
        return ExitCode.findings
    return ExitCode.unknown if seen - {Validity.inactive} else ExitCode.ok
