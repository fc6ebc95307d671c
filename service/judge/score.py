"""From a candidate to a finding with a confidence, or to a typed reason why there is none.

The model: a *prefix* of its own or a *proved* format speaks for itself (high); a *keyword* needs the value to be assigned
to a name (medium), otherwise it stays low; a *generic* assignment is medium at best. A check that failed makes it low.
Masks, templates, documentation words and values without randomness are dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from service.judge import context, entropy, evidence, generic, overlap, suppression
from service.judge.documented import is_documented
from service.judge.placeholder import placeholder, sequential_share, walks_far
from service.judge.reasons import Dropped, Reason
from service.records import Candidate, Confidence, Detector, Finding, shannon

_FILE: Final = re.compile(rb"\.(?:png|jpe?g|gif|svg|ico|webp|css|js|mjs|map|html?|woff2?|ttf|pdf|zip|gz)\b")


class Judgement(NamedTuple):
    """The findings of one text in order of place, and what was dropped."""

    findings: list[Finding]
    dropped: list[Dropped]


def judge(candidates: Iterable[Candidate], text: bytes = b"", path: str | None = None) -> Judgement:
    """Weighs the candidates of one text and settles their overlaps.

    Args:
        candidates: what was found.
        text: where it was found, for what stands on the same lines and near by.
        path: of the file that the text is, or is a part of, if it is known.
    """
    findings: list[Finding] = []
    dropped: list[Dropped] = []
    for candidate in candidates:
        weighed = weigh(candidate)
        if isinstance(weighed, Finding):
            findings.append(weighed)
        else:
            dropped.append(weighed)
    kept, lost = overlap.settle(findings)
    dropped.extend(Dropped(f.candidate, Reason.overlapped, "a better finding at the same place") for f in lost)
    return Judgement([_marked(finding, text) for finding in kept], dropped)


def _marked(finding: Finding, text: bytes) -> Finding:
    found = suppression.marker(text, finding.candidate.place) if text else ""
    return msgspec.structs.replace(finding, marker=found) if found else finding


def weigh(candidate: Candidate) -> Finding | Dropped:
    """One candidate, all offline evidence."""
    detector = candidate.detector
    secret = candidate.secret.reveal()
    checks: dict[str, str] = {}
    reasons: list[str] = []
    facts: dict[str, str] = {}
    for name in detector.checks:
        result = evidence.by_name(name).check(secret, candidate.before, candidate.after)
        if result.outcome == "placeholder":
            return Dropped(candidate, Reason.placeholder, result.reason)
        if result.outcome != "neutral":
            checks[name] = result.outcome
        reasons.append(result.reason)
        facts.update(result.facts)
    if is_documented(secret):
        return Dropped(candidate, Reason.placeholder, "the documentation prints it")
    body = _body(detector, secret)
    if detector.entropy == 0 and (detector.before or detector.checks):
        verdict = generic.weigh(candidate, body, checks)
        if isinstance(verdict, str):
            return Dropped(candidate, Reason.not_a_secret, verdict)
        return Finding(candidate, detector.severity, verdict[0], checks, (*reasons, verdict[1]), facts)
    clause = placeholder(body)
    if clause is not None:
        return Dropped(candidate, Reason.placeholder, clause)
    if shannon(body) < detector.least_entropy and not (detector.keywords and entropy.looks_random(body)):
        return Dropped(candidate, Reason.low_entropy, "the characters are not random enough")
    assigned = context.name_of(candidate.before)
    if detector.keywords and assigned.identifying:
        return Dropped(candidate, Reason.other_name, "the name before it is that of an identifier or a digest")
    walked = sequential_share(body)
    if not detector.before and (walks_far(body) or walked > 0.95):
        return Dropped(candidate, Reason.placeholder, "it walks along the alphabet or a keyboard")
    if _FILE.match(candidate.after):
        return Dropped(candidate, Reason.other_name, "a part of a file's name")
    confidence = _confidence(detector, checks, assigned.assigned, reasons)
    if walked > 0.4:
        confidence = Confidence.low
        reasons.append("it walks along the alphabet or a keyboard")
    return Finding(candidate, detector.severity, confidence, checks, tuple(reasons), facts)


def _body(detector: Detector, secret: bytes) -> bytes:
    """The part that varies: the secret without its fixed prefix."""
    return secret[len(detector.prefix_of(secret)) :] or secret


def _confidence(detector: Detector, checks: dict[str, str], assigned: bool, said: list[str]) -> Confidence:
    if "failed" in checks.values():
        return Confidence.low
    if "passed" in checks.values():
        return Confidence.high
    if not detector.keywords:
        said.append("a format of its own")
        return Confidence.high
    if assigned:
        said.append("assigned to a name beside the provider's")
        return Confidence.medium
    said.append("the provider's name stands near it")
    return Confidence.low
