"""What share of the findings of each confidence is right, measured on labelled data.

By default the data is generated: every detector's examples with made-up secrets, in several kinds of files, against its near
misses, masks and values of documentation, what only looks random under names of identifiers and of keys, and the source files
of :mod:`benchmarks.corpora`, in which every finding but a private key counts as wrong. ``--cases FILE`` takes labelled cases
instead: a JSON object a line with ``kind`` (``positive`` or ``negative``), ``text``, ``secrets`` (may be empty: any finding is
right) and, if known, ``path``. In a negative case a generic finding is left out: it may well be right.
"""

from __future__ import annotations

import html
import json
import math
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks import corpora
from service import app, proof
from service.detect.database import Database
from service.inspection import Inspector
from service.records import Confidence, Finding

BANDS: Final = {Confidence.high: (0.95, 1.0), Confidence.medium: (0.7, 0.95), Confidence.low: (0.0, 0.7)}
"""The precision that each confidence stands for, from and to."""

_PATHS: Final = ("src/settings.py", "config/application.yml", "deploy/.env")
_SOURCE_BYTES: Final = 64 * 1024 * 1024


class Case(NamedTuple):
    """A text with its label. Of a positive one, ``secrets`` are what is to be found; any finding is right if there are none."""

    positive: bool
    text: bytes
    secrets: tuple[bytes, ...] = ()
    path: str | None = None
    generic_counts: bool = True
    """False if a generic finding in a negative case may be right."""


class Row(NamedTuple):
    """One confidence of one kind of evidence."""

    confidence: Confidence
    evidence: str
    right: int
    wrong: int

    @property
    def precision(self) -> float:
        """The share that is right."""
        return self.right / (self.right + self.wrong)

    @property
    def interval(self) -> tuple[float, float]:
        """Where the true share lies, 19 times in 20 (Wilson's interval)."""
        number, z = self.right + self.wrong, 1.96
        centre = (self.right + z * z / 2) / (number + z * z)
        spread = z / (number + z * z) * math.sqrt(self.right * self.wrong / number + z * z / 4)
        return max(0.0, centre - spread), min(1.0, centre + spread)


class Result(NamedTuple):
    """What was measured."""

    rows: list[Row]
    """By confidence and evidence, those of all evidence (``all``) first."""
    positives: int
    found: dict[Confidence, int]
    """How many positive cases are found with at least this confidence."""


def load(path: Path) -> list[Case]:
    """Labelled cases of a file.

    Raises:
        ValueError: naming the line that is none.
    """
    cases = []
    for number, line in enumerate(path.read_text("utf-8", "surrogateescape").splitlines(), 1):
        try:
            case = json.loads(line)
            text, secrets = case["text"], case.get("secrets") or ()
            positive = {"positive": True, "negative": False}[case["kind"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: line {number}: an object with kind, text and secrets expected") from error
        found = tuple(secret.encode("utf-8", "surrogateescape") for secret in secrets)
        cases.append(Case(positive, text.encode("utf-8", "surrogateescape"), found, case.get("path"), False))
    return cases


def generated(loaded: Database, seed: int = 1) -> Iterator[Case]:
    """Labelled cases from the detectors themselves, and from what only looks like a secret."""
    rng = random.Random(seed)
    for detector in loaded.detectors:
        for text, secret in proof.examples(detector, rng):
            yield Case(True, text, (secret,), rng.choice(_PATHS))
            prefix = detector.prefix_of(secret)
            if len(secret) - len(prefix) >= 16:
                for fill in (b"x" * (len(secret) - len(prefix)), _walk(len(secret) - len(prefix))):
                    yield Case(False, text.replace(secret, prefix + fill), (), rng.choice(_PATHS))
        for template in detector.near_misses:
            yield Case(False, template.encode().replace(b"{secret}", proof.secret_of(detector, rng)), (), rng.choice(_PATHS))
        if detector.keywords:  # the provider's name beside what is no key
            for line in _beside(rng):
                yield Case(False, b"%b %b" % (detector.keywords[0].encode(), line), (), rng.choice(_PATHS))
    for text in corpora.source(_SOURCE_BYTES):
        if b"PRIVATE KEY" not in text:
            yield Case(False, text, (), "src/library.py")


def _walk(length: int) -> bytes:
    letters = b"abcdefghijklmnopqrstuvwxyz0123456789"
    return (letters * (length // len(letters) + 1))[:length]


def _beside(rng: random.Random) -> tuple[bytes, ...]:
    identifier = str(uuid.UUID(int=rng.getrandbits(128), version=4)).encode()
    return (
        b'request_id="%b"' % identifier,
        b"commit %040x" % rng.getrandbits(160),
        b"trace_id=%032x took 12 ms" % rng.getrandbits(128),
        b"image@sha256:%064x pulled" % rng.getrandbits(256),
    )


def measure(cases: Iterable[Case], inspector: Inspector) -> Result:
    """Looks through the cases and counts what is right."""
    counts: defaultdict[tuple[Confidence, str], Counter[bool]] = defaultdict(Counter)
    positives = 0
    found: Counter[Confidence] = Counter()
    for case in cases:
        findings = inspector.text(case.text, None, case.path)
        best = -1
        for finding in findings:
            right = case.positive and _is_expected(finding, case.secrets)
            if not case.positive and not case.generic_counts and finding.candidate.detector.is_generic:
                continue
            if case.positive and not right:
                continue  # beside what is to be found stands what may be another secret
            best = max(best, finding.confidence.rank if right else -1)
            for evidence in ("all", _evidence(finding)):
                counts[finding.confidence, evidence][right] += 1
        positives += case.positive
        for confidence in Confidence:
            found[confidence] += best >= confidence.rank
    order = ["all", "proved", "own", "keyword", "generic"]
    rows = [
        Row(confidence, evidence, counts[confidence, evidence][True], counts[confidence, evidence][False])
        for evidence in order
        for confidence in reversed(Confidence)
        if counts[confidence, evidence]
    ]
    return Result(rows, positives, dict(found))


def _is_expected(finding: Finding, secrets: Sequence[bytes]) -> bool:
    shown = finding.candidate.secret.reveal()
    return not secrets or any(secret in shown or shown in secret for secret in secrets)


def _evidence(finding: Finding) -> str:
    """The line of the model in :mod:`service.judge.score` that the finding stands on."""
    detector = finding.candidate.detector
    if "passed" in finding.checks.values():
        return "proved"
    if detector.is_generic:
        return "generic"
    return "keyword" if detector.keywords else "own"


def run(cases: Path | None) -> Result:
    """The reliability of the built-in detectors, on labelled cases of a file or on generated ones."""
    loaded, _ = app.load_database()
    return measure(load(cases) if cases else generated(loaded), app.inspector(loaded, Confidence.low))


def svg(result: Result) -> str:
    """The reliability diagram: for each confidence its band, what was measured, and how sure that is."""
    rows = [row for row in result.rows if row.evidence == "all"][::-1]
    width, height, left, step = 640, 80 + 90 * len(rows), 120, 90
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="14">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="28" font-size="16">Share of findings that are right, by confidence</text>',
    ]

    def x(share: float) -> float:
        return left + share * (width - left - 40)

    for tenth in range(0, 11, 2):
        at = x(tenth / 10)
        parts.append(f'<line x1="{at}" y1="44" x2="{at}" y2="{height - 30}" stroke="#ddd"/>')
        parts.append(f'<text x="{at}" y="{height - 10}" text-anchor="middle">{tenth * 10} %</text>')
    for index, row in enumerate(rows):
        y = 60 + index * step
        low, high = BANDS[row.confidence]
        near, far = row.interval
        parts += [
            f'<text x="{left - 12}" y="{y + 26}" text-anchor="end">{html.escape(row.confidence.value)}</text>',
            f'<rect x="{x(low)}" y="{y}" width="{x(high) - x(low)}" height="44" fill="#e8eef7"/>',
            f'<rect x="{left}" y="{y + 12}" width="{x(row.precision) - left}" height="20" fill="#3465a4"/>',
            f'<line x1="{x(near)}" y1="{y + 22}" x2="{x(far)}" y2="{y + 22}" stroke="black" stroke-width="2"/>',
            f'<text x="{left}" y="{y + 60}" fill="#555">{100 * row.precision:.1f} % of {row.right + row.wrong:,}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
