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

A first alert never waits for a provider: it is ``unchecked``. When the answer comes, and whenever more is told of a secret, the
rules are tried anew on what is known then, so that ``validity = "active"`` raises, tags or moves the update. What is out
cannot be taken back: where a rule drops what an answer made of an alert, the update that brings the answer goes out, and
after it there is silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from service.errors import SettingsError
from service.judge import globs
from service.judge.reasons import Reason
from service.records import Finding, Location, Ruling, Severity, Validity
from service.settings import Rule

_CONDITIONS: Final = ("detector", "category", "path", "repository", "source", "confidence", "validity", "severity_is")
_ACTIONS: Final = ("severity", "drop", "tag", "topic")


class Ruled(NamedTuple):
    """What the rules make of a finding: the finding, or why it is dropped."""

    finding: Finding
    dropped: Reason | None = None
    clause: str = ""


class _Subject(NamedTuple):
    """What conditions look at."""

    detector: str
    category: str
    path: str | None
    repository: str | None
    source: str | None
    confidence: str
    validity: str


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
        about, place = finding.candidate.detector, (location.path, location.repository, location.source)
        subject = _Subject(about.id, about.category, *place, finding.confidence.value, finding.validity.value)
        ruling = self._try(subject, finding.severity)
        if ruling.dropped:
            return Ruled(finding, Reason.dropped_by_rule, ruling.dropped)
        if ruling == Ruling(finding.severity):
            return Ruled(finding)
        severity, tags, topic, *_ = ruling
        return Ruled(msgspec.structs.replace(finding, severity=severity, tags=tags, topic=topic))

    def of_alert(self, body: Mapping[str, Any], severity: Severity, validity: Validity) -> Ruling:
        """What becomes of an alert that tells more of a secret.

        Args:
            body: the document of the native schema.
            severity: what it was before any rule.
            validity: what the provider says now.
        """
        about, place = body["detector"], body["location"]
        where = (place.get("path"), place.get("repository"), place.get("source"))
        return self._try(_Subject(about["id"], about["category"], *where, body["confidence"], validity.value), severity)

    def _try(self, subject: _Subject, severity: Severity) -> Ruling:
        tags: list[str] = []
        topic = None
        for covers, rule, name in self._rules:
            if not covers(subject, severity):
                continue
            if rule.drop:
                return Ruling(severity, tuple(tags), topic, name)
            severity = rule.severity or severity
            topic = rule.topic or topic
            tags += [tag for tag in _several(rule.tag) if tag not in tags]
        return Ruling(severity, tuple(tags), topic)


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


def _covers(rule: Rule) -> Callable[[_Subject, Severity], bool]:
    words = {
        key: [globs.of_words(pattern) for pattern in _several(getattr(rule, key))]
        for key in ("detector", "category", "repository", "source")
        if getattr(rule, key)
    }
    paths = [globs.of_paths(pattern) for pattern in _several(rule.path)]
    exact = {key: frozenset(_several(getattr(rule, key))) for key in ("confidence", "validity") if getattr(rule, key)}
    severities = frozenset(_several(rule.severity_is))

    def covers(subject: _Subject, severity: Severity) -> bool:
        return (
            (not severities or severity.value in severities)
            and all(getattr(subject, key) in wanted for key, wanted in exact.items())
            and all(any(one(getattr(subject, key) or "") for one in wanted) for key, wanted in words.items())
            and (not paths or (subject.path is not None and any(one(subject.path) for one in paths)))
        )

    return covers
