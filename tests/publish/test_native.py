"""The native alert: every field of the contract, the same id for the same input, and the secret in no dress."""

import base64
import hmac
import json
import random
import string
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.decode import layers
from service.detect import catalogue, database
from service.detect.catalogue import Source
from service.detect.scanner import Scanner
from service.inspection import Inspector, Tally
from service.judge import evidence, score
from service.publish.fingerprint import Fingerprinter
from service.publish.schemas import native
from service.records import Finding, Location, Record

FILE = r"""
provider = "Acme"

[[secret]]
id = "acme-token"
name = "Acme token"
severity = "critical"
expression = 'acme_[A-Za-z0-9]{36}'
checks = ["github-crc32"]
examples = ["{secret}"]

[secret.revoke]
console = "Settings > Tokens > Delete"
"""
KEY = bytes(range(32))
NOW = datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC)
WHERE = Location(
    topic="sluice.events",
    partition=3,
    offset=42,
    type="code",
    field="commits[0].patch",
    repository="acme/shop",
    ref="refs/heads/main",
    commit="0" * 40,
    path="src/settings.py",
    line=7,
    column=12,
    url="https://git.invalid/acme/shop",
    author="Ada <ada@acme.invalid>",
    source="push",
    host="build-1",
    time="2026-03-01T12:29:59Z",
    envelope="native",
)


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    detectors = catalogue.load([Source("cloud", "cloud/acme.toml", FILE.encode())], evidence.names())
    return Scanner(database.build(detectors), layers.unwrap)


@pytest.fixture(scope="module")
def secret() -> bytes:
    rng = random.Random(1)
    drawn = "acme_" + "".join(rng.choice(string.digits + string.ascii_letters) for _ in range(36))
    return evidence.complete("github-crc32", drawn.encode())


@pytest.fixture(scope="module")
def finding(scanner: Scanner, secret: bytes) -> Finding:
    (found,) = score.judge(scanner.candidates(b"TOKEN=" + secret).found).findings
    return found


def render(finding: Finding, where: Location = WHERE, key: bytes = KEY) -> native.Alert:
    return native.render(finding, where, Fingerprinter(key), playbook_url="https://sluice.invalid/", now=NOW)


def test_the_alert_of_a_finding(finding: Finding, secret: bytes) -> None:
    fingerprint = hmac.digest(KEY, b"secret\0" + secret, "sha256").hex()
    alert = render(finding)

    body = msgspec.json.decode(msgspec.json.encode(alert.body))
    assert len(body.pop("reasons")) >= 1
    assert body.pop("places") == [body["location"]]
    assert body == {
        "schema": "sluice.alert/1",
        "alert_id": alert.alert_id,
        "first_alert_id": alert.alert_id,
        "update": 0,
        "time": "2026-03-01T12:30:00.250Z",
        "detector": {"id": "acme-token", "name": "Acme token", "provider": "Acme", "category": "cloud"},
        "severity": "critical",
        "confidence": "high",
        "validity": "unchecked",
        "secret": {"redacted": "acme_****" + secret[-4:].decode(), "fingerprint": fingerprint, "length": 41},
        "encoding": None,
        "location": {
            "topic": "sluice.events",
            "partition": 3,
            "offset": 42,
            "event": 0,
            "type": "code",
            "field": "commits[0].patch",
            "repository": "acme/shop",
            "ref": "refs/heads/main",
            "commit": "0" * 40,
            "path": "src/settings.py",
            "line": 7,
            "column": 12,
            "url": "https://git.invalid/acme/shop",
            "author": "Ada <ada@acme.invalid>",
            "source": "push",
            "host": "build-1",
            "time": "2026-03-01T12:29:59Z",
            "envelope": "native",
        },
        "checks": {"github-crc32": "passed"},
        "facts": {},
        "parts": [],
        "tags": [],
        "occurrences": 1,
        "first_seen": "2026-03-01T12:29:59Z",
        "last_seen": "2026-03-01T12:29:59Z",
        "remediation": {
            "summary": "Revoke this Acme token (Settings > Tokens > Delete), put a new one into a secrets manager,"
            " and look for its use by others.",
            "steps": [
                "Make a new Acme token (Settings > Tokens), and put it into your secrets manager.",
                "Give it to every service that used the old one.",
                "Revoke the old one: Settings > Tokens > Delete.",
                "Look for its use by others in the logs of Acme: unknown addresses, unusual hours, new clients.",
                "Take it out of src/settings.py line 7 of acme/shop, and out of the history: copies stay there.",
            ],
            "playbook": "https://sluice.invalid/playbooks/acme-token",
        },
    }
    assert (alert.fingerprint, alert.severity) == (fingerprint, "critical")


def test_what_the_producer_did_not_tell_is_left_out_and_the_time_is_ours(finding: Finding) -> None:
    body = render(finding, Location(topic="sluice.events", field="value")).body

    told = {"topic": "sluice.events", "partition": 0, "offset": 0, "event": 0, "type": "unknown", "field": "value"}
    assert body["location"] == told
    assert body["first_seen"] == body["last_seen"] == body["time"]


def test_the_same_input_has_the_same_id_whenever_it_comes(finding: Finding) -> None:
    later = native.render(finding, WHERE, Fingerprinter(KEY), now=datetime(2027, 1, 1, tzinfo=UTC))

    assert later.alert_id == render(finding).alert_id


@pytest.mark.parametrize(
    "other",
    [
        {"topic": "other"},
        {"partition": 4},
        {"offset": 43},
        {"path": "src/other.py"},
        {"field": "commits[1].patch"},
    ],
)
def test_another_place_has_another_id_and_the_same_fingerprint(finding: Finding, other: dict[str, Any]) -> None:
    moved = render(finding, msgspec.structs.replace(WHERE, **other))

    assert moved.alert_id != render(finding).alert_id
    assert moved.fingerprint == render(finding).fingerprint


def test_another_key_changes_fingerprint_and_id(finding: Finding) -> None:
    other = render(finding, key=bytes(32))

    assert other.fingerprint != render(finding).fingerprint
    assert other.alert_id != render(finding).alert_id


DRESSES: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda text: text,
    "base64": base64.b64encode,
    "base64 behind a byte": lambda text: base64.b64encode(b" " + text),
    "base64 behind two bytes": lambda text: base64.b64encode(b"  " + text),
    "hex": lambda text: text.hex().encode(),
    "utf-16": lambda text: text.decode().encode("utf-16-le"),
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text).encode(),
}


def assert_not_in(secret: bytes, written: bytes) -> None:
    assert secret not in written
    assert secret[5:] not in written  # without its prefix it is as good
    for dress in (base64.b64encode, base64.urlsafe_b64encode):
        for lead in (b"", b" ", b"  "):
            # what of the base64 does not depend on the neighbours
            assert dress(lead + secret)[4:-4] not in written
    assert secret.hex().encode() not in written.lower()


@pytest.mark.parametrize("dress", DRESSES)
def test_the_secret_is_nowhere_in_the_alert_however_it_was_written(scanner: Scanner, secret: bytes, dress: str) -> None:
    found = score.judge(scanner.candidates(b"data: " + DRESSES[dress](secret) + b"\n").found).findings

    for one in found:
        assert one.candidate.secret.reveal() == secret
        assert_not_in(secret, msgspec.json.encode(render(one).body))
    assert found or dress == "percent"  # letters and digits need no percent-encoding: nobody writes them so


@pytest.fixture(scope="module")
def inspector(scanner: Scanner) -> Inspector:
    return Inspector(scanner)


def alerts(inspector: Inspector, value: bytes, key: bytes | None = None) -> list[native.Alert]:
    record = Record("sluice.events", 0, 1, 0, key, value)
    found = inspector.record(record, Tally())
    return [native.render(one.finding, one.location, Fingerprinter(KEY), one.occurrences, now=NOW) for one in found]


@pytest.mark.parametrize("field", ["id", "repository", "ref", "commit", "path", "url", "time", "source", "host", "message"])
def test_nor_is_it_where_the_place_itself_holds_it(inspector: Inspector, secret: bytes, field: str) -> None:
    event = {"type": "log", "message": "clean", field: f"https://robot:{secret.decode()}@git.invalid/acme/shop"}

    found = alerts(inspector, json.dumps(event).encode())

    assert found
    for alert in found:
        assert_not_in(secret, msgspec.json.encode(alert.body))


@pytest.mark.parametrize("part", ["name", "email"])
def test_nor_where_it_is_the_authors(inspector: Inspector, secret: bytes, part: str) -> None:
    event = {"type": "code", "content": "clean", "author": {"name": "Ada", "email": "", part: secret.decode()}}

    found = alerts(inspector, json.dumps(event).encode())

    assert found
    for alert in found:
        assert_not_in(secret, msgspec.json.encode(alert.body))


def test_nor_where_it_is_the_name_of_a_member(inspector: Inspector, secret: bytes) -> None:
    found = alerts(inspector, json.dumps({"tokens": {secret.decode(): "admin"}, "note": secret.decode()}).encode())

    assert found
    for alert in found:
        assert_not_in(secret, msgspec.json.encode(alert.body))


def test_nor_is_another_secret_that_stands_in_the_place_of_the_first(inspector: Inspector, secret: bytes) -> None:
    other = evidence.complete("github-crc32", b"acme_" + secret[:4:-1])
    event = {"type": "log", "message": f"denied {secret.decode()}", "url": f"/callback?token={other.decode()}"}

    found = alerts(inspector, json.dumps(event).encode(), key=secret)

    assert len({alert.fingerprint for alert in found}) == 2
    for alert in found:
        assert_not_in(secret, msgspec.json.encode(alert.body))
        assert_not_in(other, msgspec.json.encode(alert.body))


def test_two_events_of_one_record_have_alerts_of_their_own(inspector: Inspector, secret: bytes) -> None:
    lines = [json.dumps({"type": "log", "host": host, "message": f"token {secret.decode()}"}) for host in ("a", "b")]

    found = alerts(inspector, "\n".join(lines).encode())

    assert {alert.body["location"]["host"] for alert in found} == {"a", "b"}
    assert len({alert.alert_id for alert in found}) == 2


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_the_place_is_called_it_can_be_written_as_json(finding: Finding, path: str, author: str) -> None:
    body = render(finding, msgspec.structs.replace(WHERE, path=path, author=author)).body

    assert json.loads(msgspec.json.encode(body))["location"]["path"] == path


def test_what_an_event_tells_at_length_is_cut_short(finding: Finding) -> None:
    told = render(finding, Location(path="a" * 1_000_000, field="f")).body["location"]
    assert len(told["path"]) == native.MOST_TEXT + 1
    assert told["field"] == "f"


def test_a_shortened_alert_says_so_and_keeps_what_tells_it_apart(finding: Finding) -> None:
    long = Location(topic="t" * 200, partition=3, offset=17, path="a" * 3_000, url="b" * 3_000)
    alert = render(finding, long)
    short = native.shortened(alert.body)
    assert short["shortened"] is True
    assert len(msgspec.json.encode(short)) < len(msgspec.json.encode(alert.body)) / 3
    for name in ("schema", "alert_id", "first_alert_id", "update", "detector", "secret", "severity", "occurrences"):
        assert short[name] == alert.body[name]
    assert short["location"] == {
        "topic": "t" * 200,
        "partition": 3,
        "offset": 17,
        "path": "a" * native.SHORTENED_TEXT + "…",
        "url": "b" * native.SHORTENED_TEXT + "…",
    } | {name: value for name, value in alert.body["location"].items() if name not in ("topic", "path", "url")}
