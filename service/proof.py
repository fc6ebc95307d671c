"""Proves detectors: each finds its own examples through the whole engine, and lets its near misses go.

Examples are templates; the secrets in them are made from the detector's own expression, checksums computed, so that no file
holds a string that looks like a live secret.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from service.detect import assignment, expressions
from service.detect.database import Database
from service.detect.expressions import ALNUM
from service.inspection import Inspector
from service.judge import evidence
from service.judge.placeholder import placeholder, sequential_share
from service.records import Detector, Finding, shannon

_TRIES: Final = 50
_LEAST_VARIED: Final = 5


class Fault(NamedTuple):
    """What a detector did not do."""

    detector: str
    what: str


def secret_of(detector: Detector, rng: random.Random) -> bytes:
    """A made-up secret of the detector's type: random, of the right shape, its checksum computed."""
    node = expressions.parse(detector.expression)
    whole = expressions.Linear(expressions.exact(node))
    most = expressions.width(node)[1]
    secret = b""
    for _ in range(_TRIES):
        drawn = secret = expressions.sample(node, rng)
        for name in detector.checks:
            secret = evidence.complete(name, secret)
        if not whole.matches_whole(secret):  # what the check asks for and what the expression allows do not always meet
            secret = drawn
            continue
        body = secret[len(detector.prefix_of(secret)) :]
        if detector.assigned and next(assignment.values(b"api_key=" + secret), None) is None:
            continue
        if len(set(body)) < min(_LEAST_VARIED, len(body)) or len(body) < min(_LEAST_VARIED, most):
            continue
        if placeholder(body) is None and shannon(body) >= detector.least_entropy and sequential_share(body) < 0.2:
            break
    return secret


def examples(detector: Detector, rng: random.Random) -> Iterator[tuple[bytes, bytes]]:
    """Each example of the detector with a made-up secret in it, and that secret."""
    for template in detector.examples:
        secret = secret_of(detector, rng)
        yield template.encode().replace(b"{secret}", secret), secret


def check(loaded: Database, inspector: Inspector, only: Iterable[str] | None = None, seed: int = 1) -> Iterator[Fault]:
    """What the detectors of a database do not do; nothing where all is well.

    Args:
        loaded: all detectors together, since one may shadow another.
        inspector: over the same database, showing low confidence too.
        only: ids to look at; all if None.
        seed: of the made-up secrets.
    """
    wanted = None if only is None else frozenset(only)
    for detector in loaded.detectors:
        if wanted is None or detector.id in wanted:
            yield from _check(detector, inspector, random.Random(f"{seed} {detector.id}"))


def _check(detector: Detector, inspector: Inspector, rng: random.Random) -> Iterator[Fault]:
    for number, (text, secret) in enumerate(examples(detector, rng), 1):
        findings = inspector.text(text)
        if not _finds(findings, detector, secret):
            others = sorted({f.candidate.detector.id for f in findings})
            seen = f"found instead: {', '.join(others)}" if others else "nothing found"
            yield Fault(detector.id, f"example {number} is not found ({seen})")
            continue
        for name, dress in _DRESSES.items():
            if not _finds(inspector.text(dress(text)), detector, secret):
                yield Fault(detector.id, f"example {number} is not found {name}")
    for number, template in enumerate(detector.near_misses, 1):
        text = template.encode().replace(b"{secret}", secret_of(detector, rng))
        if any(f.candidate.detector.id == detector.id for f in inspector.text(text)):
            yield Fault(detector.id, f"near miss {number} is found")
    first = detector.examples[0].encode()
    for name, miss in _misses(detector, rng):
        if any(f.candidate.detector.id == detector.id for f in inspector.text(first.replace(b"{secret}", miss))):
            yield Fault(detector.id, f"found although it is {name}")
    if detector.prefixes and not detector.keywords and not detector.is_generic and inspector.has_image(detector.id):
        text, secret = next(examples(detector, rng))
        for padding in (b"", b"a", b"ab"):
            if not _finds(inspector.text(base64.b64encode(padding + b" " + text)), detector, secret):
                yield Fault(detector.id, f"not found in base64 behind {len(padding)} bytes")


def _finds(findings: Iterable[Finding], detector: Detector, secret: bytes) -> bool:
    forms = (secret, secret.replace(b"\n", b"\\n"))  # written out where JSON is looked at as the text it is
    return any(f.candidate.detector.id == detector.id and f.candidate.secret.reveal() in forms for f in findings)


_DRESSES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "at the start of a line": lambda text: b"one line\n" + text + b"\nanother\n",
    "behind a colour code": lambda text: b"\x1b[32m" + text + b"\x1b[0m",
    "inside a JSON string": lambda text: json.dumps({"message": text.decode("latin-1")}).encode("latin-1"),
}


def _misses(detector: Detector, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Strings that are nearly secrets of the type: too short, too long, masked."""
    if detector.is_generic or detector.after or detector.boundary == "none":
        return
    node = expressions.parse(detector.expression)
    least, most = expressions.width(node)
    secret = secret_of(detector, rng)
    prefix = detector.prefix_of(secret)
    ends = expressions.last(node)
    if len(secret) == least and not detector.checks:
        yield "a character too short", secret[:-1]
    if detector.boundary == "token" and len(secret) == most < expressions.MAX_SECRET_BYTES and ends & ALNUM:
        yield "a character too long", secret + bytes((min(ends & ALNUM),))
    if len(secret) - len(prefix) >= 16:
        yield "masked", prefix + b"x" * (len(secret) - len(prefix))
