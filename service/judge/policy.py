"""The one place where it is decided what becomes of a judged finding: what people let pass, and the rules of the settings."""

from __future__ import annotations

from collections.abc import Callable

from service.judge.reasons import Dropped
from service.judge.rules import Rules
from service.judge.suppression import Suppression
from service.records import Finding, Location, Secret


class Policy:
    """Allow-lists and markers first, then the rules.

    Args:
        suppression: what is let pass.
        rules: what is dropped, marked and routed.
        fingerprint: gives the fingerprint of a secret.
    """

    def __init__(self, suppression: Suppression, rules: Rules, fingerprint: Callable[[Secret], str]) -> None:
        self.suppression = suppression
        self.rules = rules
        self._fingerprint = fingerprint

    def decide(self, finding: Finding, location: Location) -> Finding | Dropped:
        """The finding as it goes on, or why it does not."""
        candidate = finding.candidate
        passed = self.suppression.suppressed(finding, location, self._fingerprint(candidate.secret))
        if passed is not None:
            return Dropped(candidate, *passed)
        ruled = self.rules.apply(finding, location)
        return ruled.finding if ruled.dropped is None else Dropped(candidate, ruled.dropped, ruled.clause)
