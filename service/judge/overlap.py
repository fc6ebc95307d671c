"""One place, one finding: a proved format beats a prefix, a prefix beats a keyword, a keyword beats a generic detector."""

from __future__ import annotations

from collections.abc import Sequence

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
        prefix = len(candidate.detector.prefix_of(candidate.secret.reveal()))
        keyword = len(candidate.keyword or "")
        return specificity(candidate, proved), frame, prefix, keyword, finding.confidence.rank, len(candidate.secret), -span.start

    kept: list[Finding] = []
    lost: list[Finding] = []
    # by place first, so that only neighbours are compared: a text may hold thousands
    for finding in sorted(findings, key=lambda f: (f.candidate.place.start, f.candidate.place.end)):
        place = finding.candidate.place
        rivals = []
        while kept and kept[-1].candidate.place.overlaps(place):
            rivals.append(kept.pop())
        if any(strength(rival) >= strength(finding) for rival in rivals):
            lost.append(finding)
            kept.extend(reversed(rivals))
        else:
            lost.extend(rivals)
            kept.append(finding)
    return kept, lost
