"""Rules of the settings: another severity, a tag, a topic, or no alert at all, for findings that a rule covers.

    [[rules]]
    name = "payments first"
    category = "payment"
    repository = "github.com/acme/**"
    confidence = "high"
    severity = "critical"
    topic = "sluice.alerts.payments"

    [[rules]]
    path = ["tests/**", "**/fixtures/**"]
    severity = "low"
    tag = "tests"

A rule covers a finding if all its conditions do. Rules are tried in their order; each that covers adds its tag, the last word
on severity and topic has the last one that names them, and one that drops ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from service.errors import SettingsError
from service.judge import globs
from service.judge.reasons import Reason
from service.records import Finding, Location
from service.settings import Rule

_CONDITIONS: Final = ("detector", "category", "path", "repository", "source", "confidence", "validity", "severity_is")
_ACTIONS: Final = ("severity", "drop", "tag", "topic")


class Ruled(NamedTuple):
    """What the rules make of a finding: the finding, or why it is dropped."""

    finding: Finding
    dropped: Reason | None = None
    clause: str = ""


class Rules:
    """The rules of the settings, made ready.

    Raises:
        SettingsError: naming the rule, the key and what was expected.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        for number, rule in enumerate(rules, 1):
            _prove(number, rule)
        self._rules = [(_covers(rule), rule, rule.name or f"rule {number}") for number, rule in enumerate(rules, 1)]

    def __bool__(self) -> bool:
        return bool(self._rules)

    @property
    def topics(self) -> frozenset[str]:
        """The topics that alerts may go to beside the usual one."""
        return frozenset(rule.topic for _, rule, _ in self._rules if rule.topic)

    def apply(self, finding: Finding, location: Location) -> Ruled:
        """What becomes of a finding at a place. Without state: the same for the same."""
        severity, tags, topic = finding.severity, list(finding.tags), finding.topic
        for covers, rule, name in self._rules:
            if not covers(finding, location):
                continue
            if rule.drop:
                return Ruled(finding, Reason.dropped_by_rule, name)
            severity = rule.severity or severity
            topic = rule.topic or topic
            tags += [tag for tag in _several(rule.tag) if tag not in tags]
        if severity is finding.severity and topic == finding.topic and len(tags) == len(finding.tags):
            return Ruled(finding)
        return Ruled(msgspec.structs.replace(finding, severity=severity, tags=tuple(tags), topic=topic))


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value else tuple(value)


def _prove(number: int, rule: Rule) -> None:
    place = f"rules[{number - 1}]{f' ({rule.name})' if rule.name else ''}"
    if not any(getattr(rule, name) for name in _CONDITIONS):
        raise SettingsError(f"{place}: a condition expected, one of {', '.join(_CONDITIONS)}: it would cover all findings")
    if not any(getattr(rule, name) for name in _ACTIONS):
        raise SettingsError(f"{place}: something to do expected, one of {', '.join(_ACTIONS)}")
    if rule.drop and (rule.severity or rule.tag or rule.topic):
        raise SettingsError(f"{place}: drop = true stands alone: there will be no alert to mark or to route")
    for key in ("detector", "category", "path", "repository", "source"):
        for pattern in _several(getattr(rule, key)):
            if clause := globs.problem(pattern):
                raise SettingsError(f"{place}: {key}: {pattern!r}: {clause}")


def _covers(rule: Rule) -> Callable[[Finding, Location], bool]:
    words = {
        key: [globs.of_words(pattern) for pattern in _several(getattr(rule, key))]
        for key in ("detector", "category", "repository", "source")
    }
    paths = [globs.of_paths(pattern) for pattern in _several(rule.path)]
    exact = {key: frozenset(_several(getattr(rule, key))) for key in ("confidence", "validity", "severity_is")}

    def covers(finding: Finding, location: Location) -> bool:
        detector = finding.candidate.detector
        told = {
            "detector": detector.id,
            "category": detector.category,
            "repository": location.repository,
            "source": location.source,
        }
        values = {
            "confidence": finding.confidence.value,
            "validity": finding.validity.value,
            "severity_is": finding.severity.value,
        }
        return (
            all(not wanted or values[key] in wanted for key, wanted in exact.items())
            and all(not wanted or any(one(told[key] or "") for one in wanted) for key, wanted in words.items())
            and (not paths or (location.path is not None and any(one(location.path) for one in paths)))
        )

    return covers
