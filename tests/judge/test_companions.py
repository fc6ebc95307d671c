"""What belongs to a secret and stands near it."""

from service.judge import companions
from service.records import Candidate, Confidence, Detector, Finding, Secret, Severity, Span


def finding(text: bytes, secret: bytes, kind: str, wanted: tuple[str, ...] = (), severity: Severity = Severity.high) -> Finding:
    about = Detector(
        id=f"acme-{kind}",
        name=f"Acme {kind.replace('-', ' ')}",
        provider="Acme",
        category="cloud",
        severity=severity,
        expression="x",
        companions=wanted,
    )
    start = text.index(secret)
    span = Span(start, start + len(secret))
    return Finding(Candidate(about, Secret(secret), span, span, None, b"", b""), severity, Confidence.high, {}, ())


def test_a_finding_of_lesser_weight_becomes_a_part_of_the_secret_that_it_belongs_to() -> None:
    text = b"key_id = AK1234\nsecret_key = SK5678\n"
    key_id = finding(text, b"AK1234", "access-key-id", severity=Severity.medium)
    secret = finding(text, b"SK5678", "secret-key", ("access key id",))

    kept, joined = companions.join([key_id, secret], text)

    assert [one.candidate.detector.id for one in kept] == ["acme-secret-key"]
    assert joined == [key_id]
    (part,) = kept[0].parts
    assert (part.name, part.secret.reveal(), part.detector) == ("access key id", b"AK1234", "acme-access-key-id")


def test_one_of_equal_weight_stays_a_finding_and_is_told_as_a_part_too() -> None:
    text = b"one = AK1234\ntwo = SK5678\n"
    other = finding(text, b"AK1234", "access-key-id")
    secret = finding(text, b"SK5678", "secret-key", ("access key id",))

    kept, joined = companions.join([other, secret], text)

    assert len(kept) == 2
    assert joined == []
    assert kept[1].parts[0].detector == "acme-access-key-id"


def test_what_stands_far_away_is_not_joined() -> None:
    text = b"AK1234" + b"\n" * 20 + b"SK5678" + b"." * 700 + b"AK9999"
    key_id = finding(text, b"AK1234", "access-key-id", severity=Severity.low)
    secret = finding(text, b"SK5678", "secret-key", ("access key id",))
    other = finding(text, b"AK9999", "access-key-id", severity=Severity.low)

    kept, joined = companions.join([key_id, secret, other], text)

    assert joined == []
    assert all(not one.parts for one in kept)


def test_a_value_assigned_to_a_name_of_the_companion_is_a_part() -> None:
    text = b'{"client_id": "web-7781", "client_secret": "SK5678"}'
    secret = finding(text, b"SK5678", "client-secret", ("client id",))

    kept, _ = companions.join([secret], text)

    (part,) = kept[0].parts
    assert (part.name, part.secret.reveal(), part.harmless) == ("client id", b"web-7781", True)


def test_a_slot_is_no_part_and_a_secret_companion_is_not_harmless() -> None:
    text = b'clientId = "${CLIENT}"\nauth_token = "tok4711"\nSK5678'
    secret = finding(text, b"SK5678", "secret", ("client id", "auth token"))

    kept, _ = companions.join([secret], text)

    assert [(part.name, part.harmless) for part in kept[0].parts] == [("auth token", False)]


def test_without_companions_nothing_changes() -> None:
    text = b"SK5678"
    secret = finding(text, b"SK5678", "secret")

    assert companions.join([secret], text) == ([secret], [])
