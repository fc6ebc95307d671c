"""What people decide, and what it silences."""

import json
import time

import pytest

from service.cli import verdict as command
from service.publish.verdicts import Kind, Verdict, VerdictError, Verdicts, parse, seconds

FINGERPRINT = "ab" * 32
NOW = 1_800_000_000.0


def record(**members: str) -> bytes:
    return json.dumps(members).encode()


def test_a_record_is_read_with_all_its_members() -> None:
    value = record(verdict="accepted_risk", by="ann", at="2026-03-01T10:00:00Z", reason="old", until="2027-01-01")
    fingerprint, verdict = parse(FINGERPRINT.encode(), value, NOW)
    assert fingerprint == FINGERPRINT
    assert verdict == Verdict(
        Kind.accepted_risk, "ann", seconds("2026-03-01T10:00:00+00:00", ""), "old", seconds("2027-01-01", "")
    )
    assert verdict.told() == json.loads(value) | {"until": "2027-01-01T00:00:00Z"}


def test_the_records_time_stands_in_for_a_missing_one() -> None:
    assert parse(FINGERPRINT.encode(), record(verdict="revoked"), NOW)[1].at == NOW


def test_members_that_nobody_knows_are_left_alone() -> None:
    assert parse(FINGERPRINT.encode(), record(verdict="revoked", ticket="SEC-1"), NOW)[1].verdict is Kind.revoked


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        (None, record(verdict="revoked"), "key: a fingerprint"),
        (b"AB" * 32, record(verdict="revoked"), "key: a fingerprint"),
        (FINGERPRINT.encode() + b"\n", record(verdict="revoked"), "key: a fingerprint"),
        (FINGERPRINT.encode(), b"", "an object"),
        (FINGERPRINT.encode(), b"\xff\xfe", "an object"),
        (FINGERPRINT.encode(), b"[" * 100_000, "an object"),
        (FINGERPRINT.encode(), b"{}", "an object with the member `verdict`"),
        (FINGERPRINT.encode(), b'{"verdict": 1}', "verdict: a string"),
        (FINGERPRINT.encode(), record(verdict="hunter2"), "verdict: one of true_positive"),
        (FINGERPRINT.encode(), record(verdict="revoked", until="hunter2"), "until: a date"),
        (FINGERPRINT.encode(), record(verdict="revoked", at="hunter2"), "at: a date"),
    ],
)
def test_what_is_no_verdict_is_refused_by_name_and_not_quoted(key: bytes | None, value: bytes, told: str) -> None:
    with pytest.raises(VerdictError, match=told) as raised:
        Verdicts(10).apply(key, value, NOW)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("kind", [Kind.false_positive, Kind.accepted_risk, Kind.used_in_tests])
def test_a_silencing_verdict_silences_until_its_end(kind: Kind) -> None:
    verdict = Verdict(kind, "", NOW, "", until=NOW + 10)
    assert verdict.silences("active", NOW + 5, NOW + 9.9)
    assert not verdict.silences("unchecked", NOW, NOW + 10)


def test_a_confirmed_secret_is_never_silent() -> None:
    assert not Verdict(Kind.true_positive, "", NOW, "").silences("inactive", NOW, NOW + 1)


def test_a_revoked_secret_alerts_again_only_when_it_is_found_live_afterwards() -> None:
    verdict = Verdict(Kind.revoked, "", NOW, "")
    assert verdict.silences("unchecked", NOW + 1, NOW + 1)
    assert verdict.silences("active", NOW - 1, NOW + 1), "asked before it was revoked"
    assert verdict.silences("unknown", NOW + 1, NOW + 1)
    assert not verdict.silences("active", NOW + 1, NOW + 1)


def test_the_last_verdict_holds_and_can_be_taken_back() -> None:
    verdicts = Verdicts(10)
    verdicts.apply(FINGERPRINT.encode(), record(verdict="revoked"), NOW)
    verdicts.apply(FINGERPRINT.encode(), record(verdict="true_positive"), NOW)
    found = verdicts.of(FINGERPRINT, NOW)
    assert found is not None
    assert found.verdict is Kind.true_positive
    verdicts.apply(FINGERPRINT.encode(), None, NOW)
    assert verdicts.of(FINGERPRINT, NOW) is None


def test_a_verdict_that_is_over_holds_no_more_and_takes_no_room() -> None:
    verdicts = Verdicts(10)
    verdicts.apply(FINGERPRINT.encode(), record(verdict="revoked", until="2001-01-01"), NOW)
    assert not len(verdicts)
    soon = time.time() + 100
    verdicts.apply(FINGERPRINT.encode(), json.dumps(Verdict(Kind.revoked, "", NOW, "", soon).told()).encode(), NOW)
    assert verdicts.of(FINGERPRINT, soon - 50)
    assert verdicts.of(FINGERPRINT, soon + 1) is None
    assert not len(verdicts)


def test_no_more_are_kept_than_there_is_room_for() -> None:
    verdicts = Verdicts(3)
    for number in range(5):
        verdicts.apply(b"%064x" % number, record(verdict="revoked"), NOW)
    assert [fingerprint for fingerprint, _ in verdicts] == [f"{number:064x}" for number in (2, 3, 4)]
    assert verdicts.dropped == 2


def test_the_command_knows_every_kind() -> None:
    assert tuple(kind.value for kind in Kind) == command.KINDS
