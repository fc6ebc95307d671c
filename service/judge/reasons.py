"""Why a candidate or a finding is not reported: the closed list, for metrics, ``--explain`` and audits."""

from __future__ import annotations

import enum
from typing import NamedTuple

from service.records import Candidate


class Reason(enum.StrEnum):
    """Why a candidate did not become an alert."""

    placeholder = "placeholder"
    """A mask, a template slot, a word or a credential of documentation."""
    low_entropy = "low_entropy"
    """Not random enough for what its detector looks for."""
    other_name = "other_name"
    """It is assigned to the name of something else: an identifier, a digest, a file."""
    not_a_secret = "not_a_secret"  # noqa: S105 - a reason, not a password
    """Code, a word of the language, a number, a value that only stands where a secret would."""
    generated = "generated"
    """In a lock file, minified or packed code, or embedded data, which are full of what looks random."""
    overlapped = "overlapped"
    """A better finding at the same place."""
    joined = "joined"
    """A companion, told as a part of the finding that it belongs to."""
    below_min_confidence = "below_min_confidence"
    """Judged, but less sure than what is asked for."""
    allowed_inline = "allowed_inline"
    """A marker on its line lets it pass."""
    allowed_by_list = "allowed_by_list"
    """An entry of an allow-list lets it pass."""
    dropped_by_rule = "dropped_by_rule"
    """A rule of the settings drops it."""


class Dropped(NamedTuple):
    """A candidate that is not reported, and why."""

    candidate: Candidate
    reason: Reason
    clause: str
