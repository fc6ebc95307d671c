"""From a candidate to a finding with a confidence, or to a typed reason why there is none.

The model. What proves more comes first, and only one line of it counts; what stands below it takes confidence away.

| evidence | confidence |
|---|---|
| a check passed: checksum, structure, curve (*proved*) | high |
| a prefix or a frame of its own, and random enough (*own*) | high |
| a password in a URL; a generic format that proves itself | high |
| a keyword near, and assigned to a name (*keyword*) | medium |
| a random value assigned to the name of a key, a made-up one to that of a password (*generic*) | medium |
| a keyword near, and no name | low |
| a check failed; less random than such secrets are; a word of documentation, a walk along the alphabet (*doubt*) | low |
| words and weak passwords in the place of one; what may be an identifier or a digest | low |

Taken away where nothing is proved: in tests, documentation and examples *generic* and *keyword* become low and *own* medium;
in packed and vendored code *generic* and *keyword* become low; on a line that says that it only shows something, *generic*
becomes low. Nothing is left, with a typed reason: of slots and masks, of documented credentials, of code and identifiers, of
*generic* and *keyword* in lock files and embedded data.

``python -m benchmarks calibration`` measures what share of each band is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from service.judge import companions, context, entropy, evidence, generic, overlap, suppression, surroundings
from service.judge.documented import is_documented
from service.judge.placeholder import FEW, REPEATED, WORD, doubt, repeated, sequential_share, slot, walks_far
from service.judge.reasons import Dropped, Reason
from service.judge.surroundings import Kind
from service.records import Candidate, Confidence, Detector, Finding, Severity, shannon

_MASKED: Final = re.compile(rb"[-_.]?(?:[#*xX]{4}|(?:\xe2\x80\xa2){3})")
_FILE: Final = re.compile(rb"\.(?:png|jpe?g|gif|svg|ico|webp|css|js|mjs|map|html?|woff2?|ttf|pdf|zip|gz)\b")
_SURE_PREFIX: Final = 4
"""A prefix of so many characters is no chance, however little random stands behind it."""

_FILLING: Final = 2.5
"""With digits in it, so few bits a character are filling, and so is each character written so often in a row."""
_WALK: Final = "it walks along the alphabet or a keyboard"
_CLASSES: Final = re.compile(r"\[[^\]]*\]|\\.|\{[0-9,]*\}")
_LITERAL: Final = re.compile(rf"[A-Za-z0-9_]{{{_SURE_PREFIX}}}")
_WORD_AND_HYPHEN: Final = 5
"""A prefix that is a word and a hyphen, such as ``api-``, is a part of many names."""


class Judgement(NamedTuple):
    """The findings of one text in order of place, and what was dropped."""

    findings: list[Finding]
    dropped: list[Dropped]


def judge(
    candidates: Iterable[Candidate], text: bytes = b"", path: str | None = None, least: Confidence = Confidence.low
) -> Judgement:
    """Weighs the candidates of one text, settles their overlaps and joins what belongs together.

    Args:
        candidates: what was found.
        text: where it was found, for what stands on the same lines and near by.
        path: of the file that the text is, or is a part of, if it is known.
        least: the confidence from which on it is looked for markers that let a finding pass.
    """
    findings: list[Finding] = []
    dropped: list[Dropped] = []
    kind = surroundings.kind_of(path)
    for candidate in candidates:
        weighed = weigh(candidate)
        if isinstance(weighed, Finding):
            weighed = _placed(weighed, text, kind)
        if isinstance(weighed, Finding):
            findings.append(weighed)
        else:
            dropped.append(weighed)
    if not findings:
        return Judgement(findings, dropped)
    kept, lost = overlap.settle(findings)
    dropped.extend(Dropped(f.candidate, Reason.overlapped, "a better finding at the same place") for f in lost)
    if text:
        kept, joined = companions.join(kept, text)
        dropped.extend(Dropped(f.candidate, Reason.joined, "a part of a finding near by") for f in joined)
        kept = [_marked(f, text) if f.confidence.rank >= least.rank else f for f in kept]
    kept = [_lowered(f, Confidence.low, "public by design") if f.severity is Severity.info else f for f in kept]
    return Judgement(kept, dropped)


def _marked(finding: Finding, text: bytes) -> Finding:
    found = suppression.marker(text, finding.candidate.place)
    return msgspec.structs.replace(finding, marker=found) if found else finding


def _placed(finding: Finding, text: bytes, kind: Kind | None) -> Finding | Dropped:
    """The finding after what its place takes away."""
    if "passed" in finding.checks.values():
        return finding
    candidate = finding.candidate
    own = not candidate.detector.is_generic and not candidate.detector.keywords
    if kind is Kind.generated and not own:
        return Dropped(candidate, Reason.generated, kind.value)
    if text and (surroundings.in_data(text, candidate.place) or surroundings.in_encoded_lines(text, candidate.place)):
        return Dropped(candidate, Reason.generated, "a part of embedded data")
    if own and surroundings.in_encoded_run(candidate.before, candidate.after):
        return Dropped(candidate, Reason.generated, "a part of a longer run of base64")
    if finding.confidence is Confidence.low:
        return finding
    if own and surroundings.is_glued_to_random(candidate.before):
        return _lowered(finding, Confidence.low, "glued to what looks random")
    clause = kind.value if kind and not (own and kind in (Kind.vendored, Kind.generated)) else ""
    if not clause and not own and text and surroundings.in_packed_code(text, candidate.place):
        clause = "in packed code"
    if clause:
        return _lowered(finding, Confidence.medium if own and finding.confidence is Confidence.high else Confidence.low, clause)
    if text and candidate.detector.is_generic and surroundings.is_showing(text, candidate.place):
        return _lowered(finding, Confidence.low, "a word on its line says that it is only shown")
    return finding


def _lowered(finding: Finding, confidence: Confidence, clause: str) -> Finding:
    return msgspec.structs.replace(finding, confidence=confidence, reasons=(*finding.reasons, clause))


def weigh(candidate: Candidate) -> Finding | Dropped:
    """One candidate, all evidence that it carries in itself."""
    weighed = _weigh(candidate)
    # last, since nearly all are dropped for less, and a digest costs more than any of it
    if isinstance(weighed, Finding) and is_documented(candidate.secret.reveal()):
        return Dropped(candidate, Reason.placeholder, "the documentation prints it")
    return weighed


def _weigh(candidate: Candidate) -> Finding | Dropped:
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
    prefix = detector.prefix_of(secret)
    body = secret[len(prefix) :] or secret
    proved = any(outcome == "passed" and evidence.proves(name) for name, outcome in checks.items())
    if detector.entropy == 0 and (detector.before or detector.checks):
        verdict, clause = generic.weigh(candidate, body, checks)
        if isinstance(verdict, Reason):
            return Dropped(candidate, verdict, clause)
        return Finding(candidate, detector.severity, verdict, checks, (*reasons, clause), facts)
    assigned = context.name_of(candidate.before)
    if not proved and (nothing := _nothing(candidate, prefix, body, assigned)) is not None:
        return Dropped(candidate, *nothing)
    doubted = _doubt(detector, body, proved)
    if doubted is not None:
        reason, clause = doubted
        public = detector.severity is Severity.info
        named = _is_told_by_its_name(detector, assigned.assigned, clause)
        sure = proved or (not public and (named or _is_sure_of_its_form(detector, prefix, body)))
        if not sure:
            return Dropped(candidate, reason, clause)
        return Finding(candidate, detector.severity, Confidence.low, checks, (*reasons, clause), facts)
    confidence = _confidence(detector, checks, assigned.assigned, reasons)
    if sequential_share(body) > 0.4:
        confidence = Confidence.low
        reasons.append(_WALK)
    return Finding(candidate, detector.severity, confidence, checks, tuple(reasons), facts)


def _nothing(candidate: Candidate, prefix: bytes, body: bytes, assigned: context.Name) -> tuple[Reason, str] | None:
    """Why it is no secret, whatever it looks like."""
    empty = slot(body)
    if empty is not None:
        return Reason.placeholder, empty
    if _MASKED.match(candidate.after):
        return Reason.placeholder, "it goes on in masked characters"
    if _FILE.match(candidate.after):
        return Reason.other_name, "a part of a file's name"
    if candidate.detector.keywords and assigned.identifying:
        return Reason.other_name, "the name before it is that of an identifier or a digest"
    if len(prefix) <= _WORD_AND_HYPHEN and prefix.endswith(b"-") and prefix[:-1].isalpha() and _goes_on(candidate.before):
        return Reason.other_name, "a part of a longer name or of an address"
    return None


def _goes_on(before: bytes) -> bool:
    """True if what stands before a word belongs to it: ``px-api-…``, ``https://host/API-…``."""
    if before[-1:] == b"-":
        return True
    return before[-1:] == b"/" and b"://" in before[max(before.rfind(b" "), before.rfind(b"\n"), before.rfind(b'"')) + 1 :]


def _doubt(detector: Detector, body: bytes, proved: bool) -> tuple[Reason, str] | None:
    """What makes it unlikely that anybody was issued such a secret."""
    clause = doubt(body)
    if proved and clause == WORD:  # by chance: what shows something has no right checksum
        clause = None
    if clause is not None:
        return Reason.placeholder, clause
    if shannon(body) < detector.least_entropy and not entropy.looks_random(body):
        return Reason.low_entropy, "the characters are not random enough"
    if not detector.before and (walks_far(body) or sequential_share(body) > 0.95):
        return Reason.placeholder, _WALK
    return None


def _is_sure_of_its_form(detector: Detector, prefix: bytes, body: bytes) -> bool:
    """True if the form alone says what it is, so that a doubtful one is told with low confidence and not dropped."""
    if detector.keywords:
        return False
    if any(48 <= byte <= 57 for byte in body) and (shannon(body) < _FILLING or repeated(body) > _FILLING):
        return False  # digits that repeat are filling; letters may be what documentation fills a form with
    if detector.before or (not prefix and _holds_a_literal(detector.expression)):
        return True
    least = _SURE_PREFIX if body.isalpha() else _SURE_PREFIX - 1
    return not (body.isalpha() and body.islower()) and len(prefix) >= least


def _is_told_by_its_name(detector: Detector, assigned: bool, clause: str) -> bool:
    """True if it is assigned beside its provider's name: what may be made up is told as well as a generic one would be."""
    return bool(detector.keywords) and assigned and clause not in (REPEATED, FEW)


@lru_cache(4096)
def _holds_a_literal(expression: str) -> bool:
    """True if so many characters as a sure prefix has stand fixed inside, or at the end: ``…AZDO…``, ``…NRAL``."""
    return _LITERAL.search(_CLASSES.sub(" ", expression)) is not None


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
