"""One place, one finding: a proved format beats a prefix, a prefix beats a keyword, a keyword beats a generic detector."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from service.judge import generic
from service.records import Candidate, Finding


def specificity(candidate: Candidate, proved: bool) -> int:
    """How much a detector says of the candidate.

    4 for a format that proved itself by a checksum or its structure, 3 for a prefix, 2 for a keyword, 1 for a shape of no
    provider, 0 for a mere assignment.
    """
    if candidate.detector.is_generic:
        return 0 if candidate.detector.id.startswith("generic-") else 1
    if proved:
        return 4
    return 2 if candidate.detector.keywords else 3


def settle(findings: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    """Splits findings of one text into those that stay, in order of place, and those that another one overlaps."""

    def strength(finding: Finding) -> tuple[int, ...]:
        candidate = finding.candidate
        proved = "passed" in finding.checks.values()
        span = candidate.place
        frame = len(candidate.detector.before) + len(candidate.detector.after)
        if candidate.detector.id.startswith("generic-"):  # their frames tell nothing; the name before the value does
            frame = generic.fits(candidate)
        layers = candidate.encoding.count("+") + 1 if candidate.encoding else 0
        prefix = len(candidate.detector.prefix_of(candidate.secret.reveal()))
        keyword = len(candidate.keyword or "")
        return (
            specificity(candidate, proved),
            proved,
            -layers if proved else 0,  # of two that are proved, the one that stands in the text before what is inside it
            frame,
            prefix,
            keyword,
            finding.confidence.rank,
            len(candidate.secret),
            -span.start,
        )

    if len(findings) < 2:
        return list(findings), []
    kept: list[Finding] = []
    starts: list[int] = []
    lost: list[Finding] = []
    # the strongest first: what it overlaps is lost to it alone, and takes nothing else along
    for finding in sorted(findings, key=lambda f: (strength(f), f.candidate.detector.id), reverse=True):
        place = finding.candidate.place
        at = bisect_left(starts, place.start)
        neighbours = kept[max(0, at - 1) : at + 1]
        if any(other.candidate.place.overlaps(place) for other in neighbours):
            lost.append(finding)
        else:
            starts.insert(at, place.start)
            kept.insert(at, finding)
    return kept, lost
