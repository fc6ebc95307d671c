"""What people let pass: markers on a secret's line and the entries of allow-lists."""

import datetime
import itertools
from pathlib import Path

import pytest

from service.errors import SettingsError
from service.judge import suppression
from service.judge.reasons import Reason
from service.judge.suppression import Entry, Suppression, marker
from service.records import Candidate, Confidence, Detector, Finding, Location, Secret, Severity, Span

TODAY = datetime.date(2026, 6, 15)
PRINT, OTHER_PRINT = "ab" * 32, "cd" * 32
SECRET = b"xK9vQ2mZ7p"


def finding(marker: str = "", detector: str = "generic-password") -> Finding:
    about = Detector(id=detector, name="n", provider="p", category="generic", severity=Severity.medium, expression="x")
    span = Span(0, len(SECRET))
    candidate = Candidate(about, Secret(SECRET), span, span, None, b"", b"")
    return Finding(candidate, Severity.medium, Confidence.medium, {}, (), marker=marker)


def entry(**keys: object) -> Entry:
    return Entry(**{"owner": "ops", "reason": "known", "expires": None, "source": "list", **keys})  # type: ignore[arg-type]


def suppressing(*entries: Entry, inline: suppression.Inline = "obey") -> Suppression:
    return Suppression(entries, inline, lambda: TODAY)


def reason_of(found: suppression.Suppressed | None) -> Reason | None:
    return found.reason if found else None


@pytest.mark.parametrize(
    "comment",
    [
        "# sluice:allow",
        "// gitleaks:allow",
        "# trufflehog:ignore",
        "/* pragma: allowlist secret */",
        "# pragma: whitelist secret",
        "# ggignore",
        "// kingfisher:ignore",
        "# betterleaks:allow",
        "// secretlint-disable-line",
        "# nosecret",
        "# noqa: E501, S105",
        "# checkov:skip=CKV_SECRET_6:known",
    ],
)
def test_a_marker_behind_the_secret_is_seen(comment: str) -> None:
    text = b'password = "' + SECRET + b'"  ' + comment.encode() + b"\nnext line"
    start = text.index(SECRET)

    assert marker(text, Span(start, start + len(SECRET))) in comment


@pytest.mark.parametrize("comment", ["# sluice:allow-next-line", "# pragma: allowlist nextline secret"])
def test_a_marker_for_the_next_line_is_seen(comment: str) -> None:
    text = comment.encode() + b"\n" + SECRET + b"\n"
    start = text.index(SECRET)

    assert marker(text, Span(start, start + len(SECRET)))
    assert not marker(comment.encode() + b"\n\n" + SECRET, Span(len(comment) + 2, len(comment) + 2 + len(SECRET)))


def test_a_marker_counts_on_no_other_line() -> None:
    text = b"# sluice:allow\n" + SECRET + b"\n# gitleaks:allow"
    start = text.index(SECRET)

    assert marker(text, Span(start, start + len(SECRET))) == ""


def test_a_marker_inside_the_secret_is_nobodys_decision() -> None:
    text = b"password = nosecret"

    assert marker(text, Span(11, len(text))) == ""


def test_a_marker_at_the_end_of_a_long_secrets_first_line_counts() -> None:
    text = b"-----BEGIN KEY----- # gitleaks:allow\nMIIE\n-----END KEY-----"

    assert marker(text, Span(0, len(text))) == "gitleaks:allow"


def test_a_marker_lets_pass_and_the_policy_can_overrule_it() -> None:
    obeying, reporting = suppressing(), suppressing(inline="report")

    assert reason_of(obeying.suppressed(finding("gitleaks:allow"), Location(), PRINT)) == Reason.allowed_inline
    assert reporting.suppressed(finding("gitleaks:allow"), Location(), PRINT) is None
    assert reporting.inline == 1


def test_a_marker_in_a_log_line_counts_for_nothing() -> None:
    assert suppressing().suppressed(finding("sluice:allow"), Location(type="log"), PRINT) is None


@pytest.mark.parametrize(
    ("written", "passes"),
    [
        ("sluice:allow[generic-*]", True),
        ("sluice:allow[aws-*, generic-password]", True),
        ("sluice:allow[aws-*]", False),
        (f"sluice:allow[{PRINT[:12]}]", True),
        (f"sluice:allow[{OTHER_PRINT[:12]}]", False),
        ("sluice:allow until=2026-06-15", True),
        ("sluice:allow until=2026-06-14", False),
        ("sluice:allow until=2026-99-99", False),
    ],
)
def test_a_marker_of_ours_can_be_bound(written: str, passes: bool) -> None:
    assert (suppressing().suppressed(finding(written), Location(), PRINT) is not None) is passes


@pytest.mark.parametrize(
    ("keys", "passes"),
    [
        ({"fingerprint": PRINT}, True),
        ({"fingerprint": OTHER_PRINT}, False),
        ({"fingerprint": (OTHER_PRINT, PRINT)}, True),
        ({"path": "tests/**"}, True),
        ({"path": ("docs/", "tests/")}, True),
        ({"path": "src/"}, False),
        ({"detector": "generic-*"}, True),
        ({"detector": "aws-*"}, False),
        ({"expression": "^xK9"}, True),
        ({"expression": "^K9"}, False),
        ({"commit": "0123abc"}, True),
        ({"commit": "0123abd"}, False),
        ({"path": "tests/**", "detector": "aws-*"}, False),
        ({"path": "tests/**", "fingerprint": OTHER_PRINT}, False),
    ],
)
def test_every_condition_of_an_entry_must_hold(keys: dict[str, object], passes: bool) -> None:
    location = Location(path="tests/a.py", commit="0123ABCdef")

    found = suppressing(entry(**keys)).suppressed(finding(), location, PRINT)

    assert reason_of(found) == (Reason.allowed_by_list if passes else None)


def test_a_new_secret_on_an_ignored_line_is_seen() -> None:
    ignoring = suppressing(entry(fingerprint=PRINT))
    line = Location(path="src/settings.py", line=7)

    assert ignoring.suppressed(finding(), line, PRINT)
    assert ignoring.suppressed(finding(), line, OTHER_PRINT) is None


def test_an_entry_that_is_over_does_not_apply_and_is_told() -> None:
    over = entry(fingerprint=PRINT, expires=TODAY - datetime.timedelta(days=1))
    suppress = suppressing(over, entry(fingerprint=OTHER_PRINT, expires=TODAY, source="other"))

    assert suppress.suppressed(finding(), Location(), PRINT) is None
    assert suppress.suppressed(finding(), Location(), OTHER_PRINT)
    assert [told.entry for told in suppress.told()] == [over]
    assert "over since 2026-06-14" in suppress.told()[0].clause


def test_an_entry_that_never_fired_is_told() -> None:
    suppress = suppressing(entry(path="a", source="1"), entry(path="b", source="2"))
    suppress.suppressed(finding(), Location(path="a"), PRINT)

    assert [told.entry.source for told in suppress.told()] == ["2"]


def test_an_entry_is_named_by_its_conditions() -> None:
    assert entry(path=("tests/**", "docs/**"), detector="generic-*").named == "path=tests/** and 1 more, detector=generic-*"
    assert entry(fingerprint=PRINT).named == f"fingerprint={PRINT[:12]}"


def test_counts_go_on_for_entries_that_say_what_they_said() -> None:
    former = suppressing(entry(path="a", source="1"), entry(path="b", source="2"))
    for path in ("a", "b", "b"):
        former.suppressed(finding(), Location(path=path), PRINT)
    suppress = suppressing(entry(path="c", source="1"), entry(path="b", source="3"))

    suppress.take_over(former)

    assert suppress.fired == {"3": 2}


def test_the_clause_names_who_and_why() -> None:
    found = suppressing(entry(detector="*")).suppressed(finding(), Location(), PRINT)

    assert found is not None
    assert "ops: known" in found.clause


FILE = f"""
[[allow]]
fingerprint = "{PRINT}"
owner = "payments"
reason = "sandbox"
expires = 2027-06-30

[[allow]]
path = ["tests/**", "docs/"]
detector = "generic-*"
owner = "security"
reason = "fixtures"
expires = "never"
"""


def test_an_allow_list_is_read(tmp_path: Path) -> None:
    path = tmp_path / "allowed.toml"
    path.write_text(FILE)

    first, second = suppression.load(path)

    assert first.expires == datetime.date(2027, 6, 30)
    assert second.path == ("tests/**", "docs/")
    assert second.source == f"{path} [[allow]] 2"


BASE = 'owner = "a"\nreason = "b"\nexpires = "never"\n'
_NUMBERS = itertools.count()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[[allow", "no TOML"),
        ("[allow]\nowner = 'a'", "entries [[allow]] expected"),
        ("[[allowed]]\nowner = 'a'", "allowed: there is no such key"),
        (f"[[allow]]\n{BASE}", "one of fingerprint, path"),
        (f"[[allow]]\n{BASE}paht = 'a'", "did you mean 'path'"),
        (f"[[allow]]\n{BASE}fingerprint = 'abc'", "64 hexadecimal digits"),
        (f"[[allow]]\n{BASE}commit = 'xyz'", "7 hexadecimal digits"),
        (f"[[allow]]\n{BASE}expression = '(?=a)'", "RE2 refuses it"),
        (f"[[allow]]\n{BASE}path = 'a{{b'", "path: 'a{b'"),
        ("[[allow]]\nowner = 'a'\nreason = 'b'\npath = 'c'", "expires: a date such as"),
        ("[[allow]]\nowner = 'a'\nreason = 'b'\npath = 'c'\nexpires = 'soon'", "Invalid RFC3339"),
        ("[[allow]]\nowner = ' '\nreason = 'b'\npath = 'c'\nexpires = 'never'", "owner and reason"),
    ],
)
def test_what_is_wrong_with_an_allow_list_is_told_with_its_place(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / f"allowed{next(_NUMBERS)}.toml"
    path.write_text(content)

    with pytest.raises(SettingsError) as error:
        suppression.load(path)

    assert told in str(error.value)
    assert str(path) in str(error.value)
