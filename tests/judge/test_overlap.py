"""One place, one finding."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.judge.overlap import settle, specificity
from service.records import Candidate, Confidence, Detector, Finding, Secret, Severity, Span

KINDS = {
    "prefix": Detector(id="a-prefix", name="", provider="", category="cloud", severity=Severity.high, expression="x"),
    "other-prefix": Detector(id="b-prefix", name="", provider="", category="cloud", severity=Severity.high, expression="x"),
    "keyword": Detector(
        id="a-keyword", name="", provider="", category="cloud", severity=Severity.high, expression="x", keywords=["acme"]
    ),
    "shape": Detector(
        id="json-web-token", name="", provider="", category="identity", severity=Severity.high, expression="x", standard=True
    ),
    "assignment": Detector(
        id="generic-secret", name="", provider="", category="generic", severity=Severity.high, expression="x"
    ),
    "framed": Detector(
        id="a-framed", name="", provider="", category="cloud", severity=Severity.high, expression="x", before="user:", after="@"
    ),
}


def finding(kind: str, start: int, end: int, proved: bool = False, confidence: Confidence = Confidence.medium) -> Finding:
    span = Span(start, end)
    candidate = Candidate(KINDS[kind], Secret(bytes(end - start)), span, span, None, b"", b"")
    return Finding(candidate, Severity.high, confidence, {"a-check": "passed"} if proved else {}, ())


def places(findings: Sequence[Finding]) -> list[tuple[str, int, int]]:
    return [(f.candidate.detector.id, f.candidate.place.start, f.candidate.place.end) for f in findings]


FINDINGS = st.lists(
    st.builds(
        lambda kind, start, length, proved, confidence: finding(kind, start, start + length, proved, confidence),
        st.sampled_from(sorted(KINDS)),
        st.integers(0, 60),
        st.integers(1, 25),
        st.booleans(),
        st.sampled_from(Confidence),
    ),
    max_size=14,
)


@given(FINDINGS)
def test_no_two_that_stay_share_a_byte(findings: list[Finding]) -> None:
    kept, _ = settle(findings)

    for earlier, later in itertools.pairwise(kept):
        assert earlier.candidate.place.end <= later.candidate.place.start


@given(FINDINGS)
def test_none_is_invented_and_none_vanishes(findings: list[Finding]) -> None:
    kept, lost = settle(findings)

    assert Counter(map(id, [*kept, *lost])) == Counter(map(id, findings))


@given(FINDINGS)
def test_what_is_lost_shares_a_byte_with_one_that_stays(findings: list[Finding]) -> None:
    kept, lost = settle(findings)

    for loser in lost:
        assert any(loser.candidate.place.overlaps(winner.candidate.place) for winner in kept), places([loser])


@given(FINDINGS, st.randoms())
def test_the_order_of_the_input_does_not_matter(findings: list[Finding], rng: random.Random) -> None:
    mixed = list(findings)
    rng.shuffle(mixed)

    assert places(settle(mixed)[0]) == places(settle(findings)[0])


@given(FINDINGS)
def test_settling_what_is_settled_changes_nothing(findings: list[Finding]) -> None:
    kept, _ = settle(findings)

    assert settle(kept) == (kept, [])


@pytest.mark.parametrize(("weaker", "stronger"), itertools.combinations(["assignment", "shape", "keyword", "prefix"], 2))
@pytest.mark.parametrize("shift", [-3, 0, 3])
def test_a_prefix_beats_a_keyword_beats_a_shape_beats_an_assignment(weaker: str, stronger: str, shift: int) -> None:
    winner = finding(stronger, 10, 30, confidence=Confidence.low)
    loser = finding(weaker, 10 + shift, 40 + shift, confidence=Confidence.high)

    assert settle([loser, winner]) == ([winner], [loser])


def test_a_proved_format_beats_a_prefix() -> None:
    proved, prefix = finding("keyword", 10, 30, proved=True), finding("prefix", 10, 40)

    assert settle([prefix, proved]) == ([proved], [prefix])


def test_a_proved_format_of_no_provider_stays_below_a_provider() -> None:
    assert specificity(finding("shape", 0, 9, proved=True).candidate, True) < specificity(
        finding("keyword", 0, 9).candidate, False
    )


def test_of_two_alike_the_one_that_asks_for_more_around_it_wins() -> None:
    framed, bare = finding("framed", 10, 30), finding("prefix", 10, 30)

    assert settle([bare, framed]) == ([framed], [bare])


def test_of_two_alike_the_longer_wins() -> None:
    longer, shorter = finding("prefix", 10, 40), finding("prefix", 12, 30)

    assert settle([shorter, longer]) == ([longer], [shorter])


def test_neighbours_that_touch_both_stay() -> None:
    left, right = finding("prefix", 0, 10), finding("prefix", 10, 20)

    assert settle([right, left]) == ([left, right], [])


def test_the_secret_beside_a_beaten_one_is_not_lost_with_it() -> None:
    """The first overlaps only the second, which loses to the third: the first stands alone then."""
    first, second, third = finding("assignment", 0, 12), finding("keyword", 8, 22), finding("prefix", 20, 40)

    assert settle([first, second, third]) == ([first, third], [second])
