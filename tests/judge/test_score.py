"""From candidates to findings: what a prefix, a keyword, a name and a check are worth, and why a candidate is dropped."""

import random
import string
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.decode import layers
from service.detect import catalogue, database
from service.detect.catalogue import Source
from service.detect.scanner import Scanner
from service.judge import evidence, score
from service.judge.score import Judgement, Reason
from service.records import Candidate, Confidence, Detector, Finding, Secret, Severity, Span

FILE = r"""
provider = "Acme"

[[secret]]
id = "acme-token"
name = "Acme token"
severity = "high"
expression = 'acme_[A-Za-z0-9]{36}'
examples = ["{secret}"]

[[secret]]
id = "acme-checked"
name = "Acme token with a checksum"
severity = "critical"
expression = 'acmec_[A-Za-z0-9]{36}'
checks = ["github-crc32"]
examples = ["{secret}"]

[[secret]]
id = "acme-key"
name = "Acme key"
severity = "medium"
expression = '[a-f0-9]{40}'
keywords = ["acmecorp"]
assigned = false
examples = ["acmecorp {secret}"]

[[secret]]
id = "acme-named"
name = "Acme secret"
severity = "medium"
expression = '[A-Za-z0-9/+]{44}'
keywords = ["acmenamed"]
examples = ["acmenamed_secret = {secret}"]

[[secret]]
id = "acme-ended"
name = "Acme key with an end of its own"
severity = "medium"
expression = '[A-Za-z0-9]{32}ACME'
examples = ["{secret}"]

[[secret]]
id = "acme-account"
name = "Acme account"
severity = "low"
expression = 'AKIA[A-Z2-7]{16}'
checks = ["aws-account-id"]
examples = ["{secret}"]
"""
ALNUM = string.digits + string.ascii_letters
HEX = string.digits + "abcdef"


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    detectors = catalogue.load([Source("cloud", "cloud/acme.toml", FILE.encode())], evidence.names())
    return Scanner(database.build(detectors), layers.unwrap)


@pytest.fixture
def judged(scanner: Scanner) -> Callable[[str], Judgement]:
    return lambda text: score.judge(scanner.candidates(text.encode()).found)


def draw(alphabet: str, length: int, seed: int = 1) -> str:
    rng = random.Random(f"{alphabet} {length} {seed}")
    return "".join(rng.choice(alphabet) for _ in range(length))


def token() -> str:
    return "acme_" + draw(ALNUM, 36)


def checked() -> str:
    return evidence.complete("github-crc32", b"acmec_" + draw(ALNUM, 36).encode()).decode()


def only(judgement: Judgement) -> Finding:
    (finding,) = judgement.findings
    return finding


def test_a_prefix_speaks_for_itself(judged: Callable[[str], Judgement]) -> None:
    finding = only(judged(f"see {token()} there"))

    assert (finding.confidence, finding.severity, finding.checks) == (Confidence.high, Severity.high, {})
    assert finding.reasons


def test_a_right_checksum_makes_it_high_and_is_told(judged: Callable[[str], Judgement]) -> None:
    finding = only(judged(checked()))

    assert (finding.confidence, finding.checks) == (Confidence.high, {"github-crc32": "passed"})


def test_a_wrong_checksum_makes_it_low_whatever_the_prefix_says(judged: Callable[[str], Judgement]) -> None:
    wrong = checked()
    finding = only(judged(wrong[:-1] + ("a" if wrong[-1] != "a" else "b")))

    assert (finding.confidence, finding.checks) == (Confidence.low, {"github-crc32": "failed"})


def test_a_keyword_needs_a_name_that_the_value_is_assigned_to(judged: Callable[[str], Judgement]) -> None:
    key = draw(HEX, 40)

    assert only(judged(f'acmecorp_key = "{key}"')).confidence is Confidence.medium
    assert only(judged(f"acmecorp; {key}")).confidence is Confidence.low


@pytest.mark.parametrize("name", ["acmecorp_commit", "acmecorp trace_id", "acmecorp sha1", "acmecorp etag"])
def test_a_keyword_before_the_name_of_a_digest_is_none(judged: Callable[[str], Judgement], name: str) -> None:
    judgement = judged(f"{name}={draw(HEX, 40)}")

    assert judgement.findings == []
    assert [dropped.reason for dropped in judgement.dropped] == [Reason.other_name]


def test_a_prefix_is_not_dropped_for_the_name_before_it(judged: Callable[[str], Judgement]) -> None:
    assert only(judged(f"trace_id={token()}")).confidence is Confidence.high


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("x" * 36, Reason.placeholder),
        ("0" * 36, Reason.placeholder),
        ("Ab1" * 12, Reason.low_entropy),
        ("abcabcabcabcabcabcabcabcabcabcabcabc", Reason.low_entropy),
    ],
)
def test_masks_documentation_and_monotony_are_dropped_with_their_reason(
    judged: Callable[[str], Judgement], body: str, reason: Reason
) -> None:
    judgement = judged("acme_" + body)

    assert judgement.findings == []
    assert [dropped.reason for dropped in judgement.dropped] == [reason]


@pytest.mark.parametrize("value", ["FakeValue9" + draw(ALNUM, 34), "abcdefghijklmnopqrstuvwxyz01234567890123abcd", "ab12" * 11])
def test_what_may_be_made_up_is_of_low_confidence_where_it_is_assigned_beside_its_keyword(
    judged: Callable[[str], Judgement], value: str
) -> None:
    assert only(judged(f"acmenamed_secret = {value}")).confidence is Confidence.low


def test_one_character_repeated_is_dropped_beside_any_keyword(judged: Callable[[str], Judgement]) -> None:
    assert judged("acmenamed_secret = 7" + "a" * 43).findings == []


def test_a_literal_at_the_end_is_as_sure_as_a_prefix(judged: Callable[[str], Judgement]) -> None:
    assert only(judged("key abcdefghijklmnopqrstuvwxyz012345ACME")).confidence is Confidence.low
    assert judged("key " + "7" * 32 + "ACME").findings == []


@pytest.mark.parametrize(
    "body", ["EXAMPLE" + draw(ALNUM, 29), "abcdefghijklmnopqrstuvwxyz0123456789", "AbCdEfGh1" * 4, "A" * 36]
)
def test_a_format_of_its_own_with_hardly_the_substance_of_a_secret_is_of_low_confidence(
    judged: Callable[[str], Judgement], body: str
) -> None:
    assert only(judged("acme_" + body)).confidence is Confidence.low


def test_a_checks_placeholder_drops_and_its_facts_are_kept(judged: Callable[[str], Judgement]) -> None:
    documented = "AKIA" + draw("ABCDEFGH", 9) + "EXAMPLE"
    key_id = "AKIA" + draw(string.ascii_uppercase, 16)

    assert [dropped.reason for dropped in judged(documented).dropped] == [Reason.placeholder]
    assert list(only(judged(key_id)).facts) == ["aws_account"]
    assert only(judged(key_id)).checks == {}


def test_what_a_better_finding_covers_is_dropped_as_overlapped(judged: Callable[[str], Judgement]) -> None:
    inner = draw(HEX, 40)
    detectors = catalogue.load([Source("cloud", "cloud/acme.toml", FILE.encode())])
    by_id = {detector.id: detector for detector in detectors}
    weak = candidate(by_id["acme-key"], inner.encode(), before=b"acmecorp_key=")
    strong = candidate(by_id["acme-token"], b"acme_" + draw(ALNUM, 36).encode())

    judgement = score.judge([weak, strong])

    assert [finding.candidate for finding in judgement.findings] == [strong]
    assert [(dropped.candidate, dropped.reason) for dropped in judgement.dropped] == [(weak, Reason.overlapped)]


def candidate(detector: Detector, secret: bytes, before: bytes = b"", after: bytes = b"", start: int = 0) -> Candidate:
    span = Span(start, start + len(secret))
    return Candidate(detector, Secret(secret), span, span, None, before, after)


@given(
    st.lists(st.one_of(st.text(max_size=12), st.sampled_from(["TOKEN", "CHECKED", "KEY", "MASK", "ID"])), max_size=12),
    st.integers(0, 2**16),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_candidate_is_either_a_finding_or_dropped_with_a_reason(scanner: Scanner, parts: list[str], seed: int) -> None:
    planted = {
        "TOKEN": "acme_" + draw(ALNUM, 36, seed),
        "CHECKED": "acmec_" + draw(ALNUM, 36, seed),
        "KEY": "acmecorp=" + draw(HEX, 40, seed),
        "MASK": "acme_" + "x" * 36,
        "ID": "AKIA" + draw(string.ascii_uppercase, 16, seed),
    }
    candidates = scanner.candidates(" ".join(planted.get(part, part) for part in parts).encode("utf-8", "replace")).found

    judgement = score.judge(candidates)

    judged = [finding.candidate for finding in judgement.findings] + [dropped.candidate for dropped in judgement.dropped]
    assert sorted(map(id, judged)) == sorted(map(id, candidates))
    assert all(dropped.clause for dropped in judgement.dropped)
    starts = [finding.candidate.place.start for finding in judgement.findings]
    assert starts == sorted(starts)


@given(st.binary(min_size=1, max_size=100), st.binary(max_size=128), st.binary(max_size=64))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_make_it_raise_and_no_clause_tells_them(scanner: Scanner, secret: bytes, before: bytes, after: bytes) -> None:
    for detector in scanner.database.detectors:
        weighed = score.weigh(candidate(detector, secret, before, after))
        told = weighed.reasons if isinstance(weighed, Finding) else [weighed.clause]

        assert len(secret) < 6 or not any(secret in clause.encode() for clause in told)


@pytest.mark.parametrize(
    ("path", "own", "keyword"),
    [
        ("src/settings.py", Confidence.high, Confidence.medium),
        ("tests/test_a.py", Confidence.medium, Confidence.low),
        ("docs/setup.md", Confidence.medium, Confidence.low),
        ("node_modules/a/index.js", Confidence.high, Confidence.low),
        ("package-lock.json", Confidence.high, None),
    ],
)
def test_the_path_takes_confidence_away_from_what_is_not_proved(
    scanner: Scanner, path: str, own: Confidence, keyword: Confidence | None
) -> None:
    def confidence(text: str) -> Confidence | None:
        found = score.judge(scanner.candidates(text.encode()).found, text.encode(), path).findings
        return found[0].confidence if found else None

    assert confidence(token()) is own
    assert confidence(checked()) is Confidence.high
    assert confidence(f"acmecorp_token = {draw(HEX, 40)}") is keyword


def test_what_is_dropped_for_its_file_says_so(scanner: Scanner) -> None:
    text = f"acmecorp_token = {draw(HEX, 40)}".encode()

    judgement = score.judge(scanner.candidates(text).found, text, "yarn.lock")

    assert [dropped.reason for dropped in judgement.dropped] == [Reason.generated]


def test_a_marker_on_the_line_is_kept_with_the_finding(scanner: Scanner) -> None:
    text = (token() + "  # sluice:allow\n").encode()

    (finding,) = score.judge(scanner.candidates(text).found, text).findings

    assert finding.marker == "sluice:allow"


@pytest.mark.parametrize("word", ["xxxx", "fake", "EXAMPLE", "changeme", "sample", "abc123"])
def test_a_checksum_that_holds_outweighs_a_word_in_the_secret(judged: Callable[[str], Judgement], word: str) -> None:
    drawn = f"acmec_{draw(ALNUM, 12)}{word}{draw(ALNUM, 24 - len(word), 2)}"
    secret = evidence.complete("github-crc32", drawn.encode()).decode()

    (found,) = judged(secret).findings

    assert (found.confidence, found.checks) == (Confidence.high, {"github-crc32": "passed"})


@pytest.mark.parametrize("around", ["{}...", "{}xxxx", "{}.png", "commit: {}"])
def test_a_checksum_that_holds_outweighs_what_stands_around_it(judged: Callable[[str], Judgement], around: str) -> None:
    secret = evidence.complete("github-crc32", f"acmec_{draw(ALNUM, 36)}".encode()).decode()

    assert judged(around.format(secret)).dropped == []


def test_what_repeats_is_told_if_its_checksum_holds(judged: Callable[[str], Judgement]) -> None:
    secret = evidence.complete("github-crc32", b"acmec_" + b"a" * 30 + b"000000").decode()

    (found,) = judged(secret).findings

    assert found.confidence is Confidence.low


@pytest.mark.parametrize("name", sorted(name for name in evidence.names() if evidence.proves(name)))
def test_what_proves_a_secret_is_a_checksum(name: str) -> None:
    """Noise never passes it."""
    rng = random.Random(name)

    noise = (bytes(rng.choices(ALNUM.encode(), k=rng.choice((36, 40, 51, 52, 58)))) for _ in range(2000))

    assert all(evidence.by_name(name).check(value, b"", b"").outcome != "passed" for value in noise)


SHORT = """
provider = "Acme"

[[secret]]
id = "acme-word"
name = "Acme key"
severity = "high"
expression = 'API-[A-Z0-9]{32}'
examples = ["{secret}"]
"""


@pytest.fixture(scope="module")
def of_a_word() -> Callable[[str], Judgement]:
    detectors = catalogue.load([Source("cloud", "cloud/acme.toml", SHORT.encode())], evidence.names())
    scanner = Scanner(database.build(detectors), layers.unwrap)
    return lambda text: score.judge(scanner.candidates(text.encode()).found)


@pytest.mark.parametrize("text", ["https://acme.notion.site/{}", "see https://acme.example/a/{}", "/the-{}", "px-{}"])
def test_a_prefix_that_is_a_word_is_none_in_a_longer_name_or_an_address(
    of_a_word: Callable[[str], Judgement], text: str
) -> None:
    assert of_a_word(text.format("API-" + draw(string.digits + "ABCDEFGH", 32))).findings == []


@pytest.mark.parametrize("text", ["{}", "key={}", "--key {}", "'/{}'"])
def test_elsewhere_it_is_one(of_a_word: Callable[[str], Judgement], text: str) -> None:
    assert of_a_word(text.format("API-" + draw(string.digits + "ABCDEFGH", 32))).findings
