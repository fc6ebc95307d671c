"""Rules of the settings: another severity, a tag, a topic, or no alert."""

import msgspec
import pytest

from service.errors import SettingsError
from service.judge.policy import Policy
from service.judge.reasons import Dropped, Reason
from service.judge.rules import Rules
from service.judge.suppression import Suppression
from service.records import Candidate, Confidence, Detector, Finding, Location, Ruling, Secret, Severity, Span, Validity
from service.settings import Rule


def finding(**keys: object) -> Finding:
    about = Detector(
        id="stripe-live-secret-key",
        name="n",
        provider="Stripe",
        category="payment",
        severity=Severity.critical,
        expression="x",
    )
    candidate = Candidate(about, Secret(b"xK9vQ2"), Span(0, 6), Span(0, 6), None, b"", b"")
    found = Finding(candidate, Severity.high, Confidence.medium, {}, ())
    return msgspec.structs.replace(found, **keys)


PLACE = Location(path="src/pay/client.py", repository="github.com/acme/shop", source="push")


def rule(**keys: object) -> Rule:
    return msgspec.convert({"tag": "covered", **keys}, Rule)


@pytest.mark.parametrize(
    ("condition", "covers"),
    [
        ({"detector": "stripe-*"}, True),
        ({"detector": ["aws-*", "stripe-*"]}, True),
        ({"detector": "aws-*"}, False),
        ({"category": "payment"}, True),
        ({"category": "cloud"}, False),
        ({"path": "src/**/*.py"}, True),
        ({"path": "tests/"}, False),
        ({"repository": "github.com/acme/*"}, True),
        ({"repository": "github.com/other/*"}, False),
        ({"source": "push"}, True),
        ({"source": "ci"}, False),
        ({"confidence": "medium"}, True),
        ({"confidence": ["low", "high"]}, False),
        ({"validity": "unchecked"}, True),
        ({"validity": "active"}, False),
        ({"severity_is": "high"}, True),
        ({"severity_is": ["low", "medium"]}, False),
        ({"detector": "stripe-*", "path": "tests/"}, False),
    ],
)
def test_a_rule_covers_what_all_its_conditions_do(condition: dict[str, object], covers: bool) -> None:
    ruled = Rules([rule(**condition)]).apply(finding(), PLACE)

    assert list(ruled.finding.tags) == (["covered"] if covers else [])


def test_what_is_not_told_of_a_place_is_not_covered() -> None:
    for condition in ({"path": "**"}, {"repository": "github.com/**"}, {"source": "p*"}):
        assert Rules([rule(**condition)]).apply(finding(), Location()).finding.tags == ()


def test_severity_and_topic_are_the_last_rules_and_tags_add_up() -> None:
    rules = Rules(
        [
            rule(category="payment", severity="low", topic="one", tag=["a", "b"]),
            rule(category="payment", severity="critical", tag=["b", "c"]),
        ]
    )

    ruled = rules.apply(finding(), PLACE)

    assert (ruled.finding.severity, ruled.finding.topic, ruled.finding.tags) == (Severity.critical, "one", ("a", "b", "c"))
    assert rules.topics == {"one"}


def test_one_that_drops_says_which() -> None:
    dropping = msgspec.convert({"name": "no tests", "path": "src/", "drop": True}, Rule)

    ruled = Rules([dropping]).apply(finding(), PLACE)

    assert (ruled.dropped, ruled.clause) == (Reason.dropped_by_rule, "no tests")


def test_what_no_rule_covers_stays_the_same_object() -> None:
    found = finding()

    assert Rules([rule(category="cloud")]).apply(found, PLACE).finding is found


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"tag": "a"}, "a condition expected"),
        ({"detector": "a"}, "something to do expected"),
        ({"detector": "a", "drop": True, "tag": "b"}, "stands alone"),
        ({"detector": "a{b", "drop": True}, "detector: 'a{b'"),
    ],
)
def test_what_is_wrong_with_a_rule_is_told_with_its_place(keys: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=r"rules\[0\]") as error:
        Rules([msgspec.convert(keys, Rule)])

    assert told in str(error.value)


def test_the_policy_asks_what_people_let_pass_before_the_rules() -> None:
    policy = Policy(Suppression(), Rules([rule(category="payment")]), lambda secret: "ab" * 32)

    marked, plain = (policy.decide(finding(marker=marker), PLACE) for marker in ("sluice:allow", ""))

    assert isinstance(marked, Dropped)
    assert marked.reason is Reason.allowed_inline
    assert isinstance(plain, Finding)
    assert plain.tags == ("covered",)


def alert(**keys: object) -> dict[str, object]:
    about = {"id": "stripe-live-secret-key", "name": "n", "provider": "Stripe", "category": "payment"}
    place = {"path": "src/pay/client.py", "repository": "github.com/acme/shop", "source": "push"}
    return {"detector": about, "location": place, "confidence": "medium", **keys}


@pytest.mark.parametrize("condition", [{"detector": "stripe-*"}, {"category": "payment"}, {"path": "src/"}, {"source": "p*"}])
def test_an_alert_is_covered_as_its_finding_was(condition: dict[str, str]) -> None:
    ruling = Rules([rule(**condition, confidence="medium")]).of_alert(alert(), Severity.high, Validity.unchecked)

    assert ruling.tags == ("covered",)


def test_an_alert_is_ruled_anew_by_what_the_provider_says() -> None:
    rules = Rules(
        [
            rule(validity="unchecked", severity="low", tag="quiet"),
            rule(validity="active", severity_is="high", severity="critical", tag="live", topic="pages"),
            msgspec.convert({"name": "dead", "validity": "inactive", "drop": True}, Rule),
        ]
    )

    unchecked, active, inactive = (
        rules.of_alert(alert(severity="low", tags=["quiet"]), Severity.high, validity)
        for validity in (Validity.unchecked, Validity.active, Validity.inactive)
    )

    assert unchecked == Ruling(Severity.low, ("quiet",))
    assert active == Ruling(Severity.critical, ("live",), "pages")
    assert inactive.dropped == "dead"
