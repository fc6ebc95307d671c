"""What belongs to a secret and stands near it: an access key's id, a client's id, the host that a token opens.

Two sources: findings of the same provider whose kind is one of the companions that the detector names, which are joined into
it, and values that are assigned to a name that says so (``client_id = "…"``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from service.judge import placeholder
from service.records import Finding, Part, Secret

NEAR_BYTES: Final = 600
"""A companion stands at most so far before or behind its secret."""
_LINES: Final = 12
_MOST_PARTS: Final = 6
_HARMLESS: Final = re.compile(
    r"\b(?:account(?: id| sid)?|app(?:lication)? id|client id|key id|tenant(?: id)?|project(?: id| url)?"
    r"|org(?:anization)?(?: id)?|domain|sub-?domain|host|site|server|endpoint|region|address|url|user(?: ?name| id)?|e-?mail"
    r"|shop|namespace|instance|workspace|database|space|environment|team|store hash|policy name|data cent(?:er|re))\b",
    re.IGNORECASE,
)


def join(findings: Sequence[Finding], text: bytes) -> tuple[list[Finding], list[Finding]]:
    """Splits findings of one text into those that stay, with their parts, and those that became a part of another one."""
    joined: set[int] = set()
    parts: dict[int, list[Part]] = {}
    for index, finding in enumerate(findings):
        wanted = finding.candidate.detector.companions
        if not wanted:
            continue
        for word in wanted[:_MOST_PARTS]:
            part = _other_finding(findings, index, word, text, joined) or _assigned(finding, word, text)
            if part is not None:
                parts.setdefault(index, []).append(part)
    if not parts:
        return list(findings), []
    kept = [
        msgspec.structs.replace(finding, parts=tuple(parts[index])) if index in parts else finding
        for index, finding in enumerate(findings)
        if index not in joined
    ]
    return kept, [findings[index] for index in sorted(joined)]


def _near(one: Finding, other: Finding, text: bytes) -> bool:
    first, second = sorted((one.candidate.place, other.candidate.place), key=lambda place: place.start)
    between = second.start - first.end
    return 0 <= between <= NEAR_BYTES and text.count(b"\n", first.end, second.start) <= _LINES


def _other_finding(findings: Sequence[Finding], index: int, word: str, text: bytes, joined: set[int]) -> Part | None:
    """The nearest finding of the provider that the companion's words name; only one of lesser weight is joined."""
    finding = findings[index]
    detector = finding.candidate.detector
    words = set(re.split(r"[ _-]", word.lower()))
    best: tuple[int, int] | None = None
    for at in range(max(0, index - 4), min(len(findings), index + 5)):
        other = findings[at].candidate.detector
        if at == index or other.provider != detector.provider or other.id == detector.id or at in joined:
            continue
        if words <= set(re.split(r"[ _-]", f"{other.id} {other.name.lower()}")) and _near(finding, findings[at], text):
            distance = abs(findings[at].candidate.place.start - finding.candidate.place.start)
            best = min(best or (distance, at), (distance, at))
    if best is None:
        return None
    other_finding = findings[best[1]]
    if other_finding.severity.rank < finding.severity.rank:
        joined.add(best[1])
    about = other_finding.candidate
    return Part(word, about.secret, about.detector.id, bool(_HARMLESS.search(word)))


@lru_cache(1024)
def _expression(word: str) -> re.Pattern[bytes]:
    name = "[_. -]?".join(re.escape(part) for part in re.split(r"[ _-]", word)).encode()
    return re.compile(
        rb"(?i:(?<![A-Za-z])[A-Za-z0-9_.-]{0,24}?"
        + name
        + rb")[\"'\]\\]{0,4}[ \t]{0,8}(?:=>|:=|=|:|>|,|[ \t])[ \t\\]{0,8}[\"'`]?"
        rb"([A-Za-z0-9][A-Za-z0-9._@:/+-]{1,127})"
    )


def _assigned(finding: Finding, word: str, text: bytes) -> Part | None:
    """The nearest value that is assigned to a name of these words."""
    place = finding.candidate.place
    start = max(0, place.start - NEAR_BYTES)
    best: tuple[int, bytes] | None = None
    for found in _expression(word).finditer(text, start, min(len(text), place.end + NEAR_BYTES)):
        value = found[1]
        begin, end = found.span(1)
        if (
            (begin < place.end and place.start < end)
            or placeholder.slot(value)
            or not any(48 <= c <= 57 or c == 46 for c in value)
        ):
            continue
        distance = min(abs(begin - place.end), abs(place.start - end))
        if best is None or distance < best[0]:
            best = distance, value
    return Part(word, Secret(best[1]), harmless=bool(_HARMLESS.search(word))) if best else None
