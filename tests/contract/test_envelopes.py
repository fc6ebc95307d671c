"""What every envelope must do: give its texts unchanged, say where they are from, and hide nothing from the first pass."""

import base64
import gzip
import itertools
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import app, proof
from service.consume.batches import Batch, Slab, encode_record
from service.decode import compressed, sniff
from service.detect.database import Database
from service.inspection import Found, Inspector, Tally
from service.records import Confidence, Detector, Event, Record

TIME, HOST, PATH = "2026-07-16T10:00:00.123Z", "web-1", "/var/log/shop/app.log"
NANOS = "1784196000123000000"
COMMIT = "c0ffee" * 6 + "c0ff"
BEFORE = "0" * 40
Headers = tuple[tuple[str, bytes | None], ...]


# -- the envelopes: each as its producer writes it ---------------------------------------------------------------------


class Envelope(NamedTuple):
    """How a producer wraps a text.

    ``build`` makes the JSON document, or the bytes where the envelope is no JSON; ``written`` is the string that comes out
    again for a text; ``offers`` is what the envelope says of where it is from; ``line`` is that of the text's first line.
    """

    recognised: str
    build: Callable[[str], Any]
    offers: Mapping[str, str] = MappingProxyType({})
    headers: Headers = ()
    line: int = 1
    written: Callable[[str], str] = str


def native(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": kind, "id": "e-1", "time": TIME, **members}


CODE = {
    "repository": "acme/shop",
    "ref": "refs/heads/main",
    "commit": COMMIT,
    "path": "src/settings.py",
    "url": "https://git.acme.example/acme/shop/blob/src/settings.py",
}
AUTHOR = {"name": "Ada Lindqvist", "email": "ada@acme.example"}
OF_CODE = {"type": "code", "time": TIME, "author": AUTHOR["email"], **CODE}
OF_LOG = {"type": "log", "time": TIME, "source": PATH, "host": HOST}


def patch(text: str) -> str:
    lines = text.split("\n")
    added = "".join(f"+{line}\n" for line in lines)
    head = f"--- a/src/settings.py\n+++ b/src/settings.py\n@@ -5,3 +20,{len(lines) + 2} @@ def load():\n"
    return f"{head} kept\n-removed\n{added} kept\n"


def otlp_json(text: str) -> dict[str, Any]:
    attributes = [
        {"key": "service.name", "value": {"stringValue": "checkout"}},
        {"key": "log.file.path", "value": {"stringValue": PATH}},
        {"key": "host.name", "value": {"stringValue": HOST}},
    ]
    record = {
        "timeUnixNano": NANOS,
        "observedTimeUnixNano": NANOS,
        "severityNumber": 9,
        "severityText": "INFO",
        "body": {"stringValue": text},
        "attributes": [{"key": "http.status", "value": {"intValue": "500"}}],
        "traceId": "5b8efff798038103d269b633813fc60c",
    }
    scope = {"scope": {"name": "shop.logger", "version": "1.0"}, "logRecords": [record]}
    return {"resourceLogs": [{"resource": {"attributes": attributes}, "scopeLogs": [scope]}]}


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def field(number: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(data)) + data


def fixed64(number: int, value: int) -> bytes:
    return varint(number << 3 | 1) + value.to_bytes(8, "little")


def attribute(key: str, value: str) -> bytes:
    return field(1, key) + field(2, field(1, value))


def otlp_protobuf(text: str, name: str = "shop.logger", schema: str = "https://opentelemetry.io/schemas/1.21.0") -> bytes:
    record = fixed64(1, int(NANOS)) + varint(2 << 3) + varint(9) + field(3, "INFO") + field(5, field(1, text))
    record += field(6, attribute("http.route", "/pay")) + field(9, bytes(16)) + fixed64(11, int(NANOS))
    resource = field(1, attribute("log.file.path", PATH)) + field(1, attribute("host.name", HOST))
    scope = field(1, field(1, name)) + field(2, record)
    return field(1, field(1, resource) + field(2, scope) + field(3, schema))


def debezium(text: str) -> dict[str, Any]:
    return {
        "before": None,
        "after": {"id": 7, "note": text},
        "source": {
            "connector": "postgresql",
            "name": "db-1",
            "ts_ms": 1784196000123,
            "db": "shop",
            "schema": "public",
            "table": "t",
        },
        "op": "c",
        "ts_ms": 1784196000999,
    }


SCHEMA = {"type": "struct", "name": "Envelope", "fields": [{"field": "after", "type": "string", "default": "a default"}]}
OF_DEBEZIUM = {"type": "log", "source": "shop.public.t", "host": "db-1", "time": "1784196000123"}


def github(text: str) -> dict[str, Any]:
    def commit(number: str, message: str) -> dict[str, Any]:
        return {
            "id": number,
            "message": message,
            "timestamp": TIME,
            "url": f"https://github.example/acme/shop/commit/{number}",
            "author": AUTHOR,
            "added": ["src/settings.py"],
        }

    newest = commit(COMMIT, "Merge")
    return {
        "ref": "refs/heads/main",
        "before": BEFORE,
        "after": COMMIT,
        "repository": {"id": 1, "name": "shop", "full_name": "acme/shop"},
        "pusher": {"name": "ada"},
        "commits": [commit(BEFORE, text), newest],
        "head_commit": newest,
    }


def gitlab(text: str) -> dict[str, Any]:
    return {
        "object_kind": "push",
        "before": BEFORE,
        "after": COMMIT,
        "ref": "refs/heads/main",
        "checkout_sha": COMMIT,
        "user_email": AUTHOR["email"],
        "project": {"path_with_namespace": "acme/shop", "default_branch": "main"},
        "commits": [{"id": COMMIT, "message": text, "timestamp": TIME, "author": AUTHOR, "added": []}],
        "total_commits_count": 1,
    }


def bitbucket(text: str) -> dict[str, Any]:
    target = {"type": "commit", "hash": COMMIT, "date": TIME, "message": text, "author": {"raw": "Ada <ada@acme.example>"}}
    return {
        "actor": {"display_name": "Ada Lindqvist"},
        "repository": {"full_name": "acme/shop"},
        "push": {"changes": [{"old": None, "new": {"type": "branch", "name": "main", "target": target}, "truncated": False}]},
    }


def bitbucket_server(text: str) -> dict[str, Any]:
    return {
        "eventKey": "repo:refs_changed",
        "date": TIME,
        "actor": {"name": "ada", "emailAddress": AUTHOR["email"]},
        "repository": {"slug": "shop", "project": {"key": "ACME"}},
        "changes": [{"refId": "refs/heads/main", "fromHash": BEFORE, "toHash": COMMIT, "type": "UPDATE"}],
        "toCommit": {"id": COMMIT, "message": text},
    }


def cloud_event(**data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/orders",
        "type": "order.created",
        "subject": "7",
        "time": TIME,
        **data,
    }


OF_CLOUD_EVENT = {"type": "log", "source": "/orders", "path": "7", "time": TIME}
CE_HEADERS = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"e-1"),
    ("ce_source", b"/orders"),
    ("ce_type", b"order.created"),
    ("ce_subject", b"7"),
    ("ce_time", TIME.encode()),
    ("content-type", b"text/plain"),
)
OF_PUSH = {"type": "code", "repository": "acme/shop", "ref": "refs/heads/main", "commit": COMMIT, "time": TIME}
BEAT = {
    "@timestamp": TIME,
    "@metadata": {"beat": "filebeat", "type": "_doc", "version": "9.1.2"},
    "agent": {"name": "agent-1", "type": "filebeat"},
    "ecs": {"version": "8.0.0"},
    "host": {"name": HOST},
    "log": {"file": {"path": PATH}, "offset": 4711},
    "input": {"type": "filestream"},
}
STASHED = {"@timestamp": TIME, "@version": "1"}
SYSLOG = {"timereported": TIME, "hostname": HOST, "syslogtag": "shop[12]:", "programname": "shop", "pri": "14"}
POD = {"pod_name": "shop-5f", "namespace_name": "prod", "container_name": "shop", "host": HOST, "labels": {"app": "shop"}}

JSON: dict[str, Envelope] = {
    "native code": Envelope(
        "native", lambda text: native("code", **CODE, author=AUTHOR, start_line=10, content=text), OF_CODE, line=10
    ),
    "native patch": Envelope(
        "native", lambda text: native("code", **CODE, author=AUTHOR, patch=patch(text)), OF_CODE, line=21, written=patch
    ),
    "native log": Envelope("native", lambda text: native("log", source=PATH, host=HOST, message=text), OF_LOG),
    "filebeat": Envelope("filebeat", lambda text: {**BEAT, "message": text}, OF_LOG),
    "ecs": Envelope(
        "filebeat",
        lambda text: {"@timestamp": TIME, "log.level": "INFO", "message": text, "ecs.version": "1.2.0", "service.name": "shop"},
        {"type": "log", "time": TIME},
    ),
    "logstash": Envelope(
        "logstash",
        lambda text: {
            "@timestamp": TIME,
            "@version": "1",
            "host": {"name": HOST},
            "log": {"file": {"path": PATH}},
            "message": text,
        },
        OF_LOG,
    ),
    "logstash, older": Envelope("logstash", lambda text: {**STASHED, "host": HOST, "path": PATH, "message": text}, OF_LOG),
    "fluent bit": Envelope(
        "fluentbit",
        lambda text: {"@timestamp": 1784196000.25, "log": text, "stream": "stdout", "kubernetes": POD},
        {"type": "log", "time": "1784196000.25", "source": "shop-5f", "host": HOST},
    ),
    "fluentd": Envelope(
        "fluentd",
        lambda text: {"tag": "shop.web", "time": TIME, "hostname": HOST, "message": text},
        {"type": "log", "time": TIME, "source": "shop.web", "host": HOST},
    ),
    "vector": Envelope(
        "vector", lambda text: {"file": PATH, "host": HOST, "message": text, "source_type": "file", "timestamp": TIME}, OF_LOG
    ),
    "rsyslog json": Envelope(
        "rsyslog",
        lambda text: {
            "msg": text,
            "timereported": TIME,
            "hostname": HOST,
            "syslogtag": "shop[12]:",
            "programname": "shop",
            "pri": "14",
        },
        {"type": "log", "time": TIME, "source": "shop", "host": HOST},
    ),
    "gelf": Envelope(
        "gelf",
        lambda text: {
            "version": "1.1",
            "host": HOST,
            "short_message": text,
            "timestamp": 1784196000.25,
            "level": 6,
            "_line": 3,
        },
        {"type": "log", "time": "1784196000.25", "host": HOST},
    ),
    "docker": Envelope("docker", lambda text: {"log": text, "stream": "stdout", "time": TIME}, {"type": "log", "time": TIME}),
    "otlp json": Envelope("otlp", otlp_json, {"type": "log", "source": PATH, "host": HOST, "time": NANOS}),
    "cloudevents": Envelope("cloudevents", lambda text: cloud_event(data=text), OF_CLOUD_EVENT),
    "cloudevents of json": Envelope("cloudevents", lambda text: cloud_event(data={"note": text}), OF_CLOUD_EVENT),
    "debezium": Envelope("debezium", debezium, OF_DEBEZIUM),
    "debezium with schema": Envelope("debezium", lambda text: {"schema": SCHEMA, "payload": debezium(text)}, OF_DEBEZIUM),
    "github": Envelope(
        "github",
        github,
        {**OF_PUSH, "author": AUTHOR["email"], "url": f"https://github.example/acme/shop/commit/{COMMIT}"},
    ),
    "gitlab": Envelope("gitlab", gitlab, {**OF_PUSH, "author": AUTHOR["email"]}),
    "bitbucket": Envelope("bitbucket", bitbucket, {**OF_PUSH, "ref": "main", "author": "Ada Lindqvist"}),
    "bitbucket server": Envelope(
        "bitbucket-server", bitbucket_server, {**OF_PUSH, "repository": "shop", "author": AUTHOR["email"]}
    ),
    "unknown json": Envelope("json", lambda text: {"level": 3, "details": [{"note": text}], "time": TIME}, {"time": TIME}),
    "json in json": Envelope("json", lambda text: {"event": json.dumps({"note": text}), "time": TIME}, {"time": TIME}),
    "json array": Envelope("json", lambda text: [{"note": "first"}, {"note": text, "ts": TIME}], {"time": TIME}),
}

BYTES: dict[str, Envelope] = {
    "plain text": Envelope("text", lambda text: b"at start: " + text.encode()),
    "rsyslog file format": Envelope(
        "syslog",
        lambda text: f"{TIME} {HOST} shop[12]: {text}\n".encode(),
        {"type": "log", "time": TIME, "host": HOST, "source": "shop"},
    ),
    "syslog, rfc 5424": Envelope(
        "syslog",
        lambda text: f'<14>1 {TIME} {HOST} shop 12 ID47 [a@1 k="v"] {text}'.encode(),
        {"type": "log", "time": TIME, "host": HOST, "source": "shop"},
    ),
    "syslog, rfc 3164": Envelope(
        "syslog",
        lambda text: f"<14>Jul 16 10:00:00 {HOST} shop[12]: {text}".encode(),
        {"type": "log", "time": "Jul 16 10:00:00", "host": HOST, "source": "shop"},
    ),
    "cri": Envelope("cri", lambda text: f"{TIME} stdout F {text}".encode(), {"type": "log", "time": TIME, "source": "stdout"}),
    "otlp protobuf": Envelope("otlp", otlp_protobuf, {"type": "log", "source": PATH, "host": HOST, "time": NANOS}),
    "cloudevents, binary": Envelope("cloudevents", lambda text: b"note: " + text.encode(), OF_CLOUD_EVENT, CE_HEADERS),
    "cloudevents of base64": Envelope(
        "text",
        lambda text: json.dumps(cloud_event(data_base64=base64.b64encode(b"note: " + text.encode()).decode())).encode(),
    ),
    "ndjson": Envelope(
        "native",
        lambda text: b"".join(json.dumps(native("log", message=part)).encode() + b"\n" for part in ("first", text)),
        {"type": "log", "time": TIME},
    ),
}
ENVELOPES = {**JSON, **BYTES}
every_envelope = pytest.mark.parametrize("name", ENVELOPES)

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": lambda data: bytes(cramjam.zstd.compress(data)),
    "lz4": lambda data: bytes(cramjam.lz4.compress(data)),
    "snappy": lambda data: bytes(cramjam.snappy.compress(data)),
}


# -- the ways in which producers write JSON ----------------------------------------------------------------------------


def escaping(characters: str, digits: str = "04x") -> Callable[[str], str]:
    def quote(text: str) -> str:
        plain = json.dumps(text, ensure_ascii=False)
        return "".join(f"\\u{ord(char):{digits}}" if char in characters else char for char in plain)

    return quote


def every_character(text: str) -> str:
    units = text.encode("utf-16-be")
    return '"' + "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2)) + '"'


def dump(document: Any, quote: Callable[[str], str], indent: str = "", margin: str = "\n") -> str:
    """A document with each string, names too, written by ``quote``."""
    below = margin + indent if indent else ""
    end = margin if indent else ""
    match document:
        case str():
            return quote(document)
        case dict():
            members = (f"{quote(name)}: {dump(item, quote, indent, below)}" for name, item in document.items())
            return "{" + below + f",{below or ' '}".join(members) + end + "}"
        case list():
            return "[" + below + f",{below or ' '}".join(dump(item, quote, indent, below) for item in document) + end + "]"
        case _:
            return json.dumps(document)


def plain(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


STYLES: dict[str, Callable[[Any], str]] = {
    "plain": lambda document: dump(document, plain),
    "compact": lambda document: json.dumps(document, separators=(",", ":")),
    "ascii": lambda document: dump(document, json.dumps),
    "slashes": lambda document: dump(document, lambda text: json.dumps(text).replace("/", "\\/")),
    "html-safe": lambda document: dump(document, escaping("<>&")),
    "html-safe, all": lambda document: dump(document, escaping("<>&='+`", "04X")),
    "pretty": lambda document: dump(document, plain, "  "),
    "pretty, wide": lambda document: dump(document, json.dumps, "    "),
    "in a string": lambda document: dump({"log": dump(document, plain)}, plain),
    "in a string in a string": lambda document: dump({"log": dump({"log": dump(document, json.dumps)}, plain)}, json.dumps),
    "html-safe in a string": lambda document: dump({"log": dump(document, escaping("<>&='+"))}, escaping("<>&='+")),
    "pretty in a string": lambda document: dump({"log": dump(document, plain, "  ")}, plain),
}


# -- both passes -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded() -> Database:
    return app.load_database()[0]


@pytest.fixture(scope="module")
def inspector(loaded: Database) -> Inspector:
    return app.inspector(loaded, Confidence.low)


@pytest.fixture(scope="module")
def github_token(loaded: Database) -> Detector:
    return next(detector for detector in loaded.detectors if detector.id == "github-personal-access-token")


def record_of(name: str, text: str, style: str = "plain") -> Record:
    envelope = ENVELOPES[name]
    built = envelope.build(text)
    value = built if isinstance(built, bytes) else STYLES[style](built).encode()
    return Record("events", 3, 42, 1_784_196_000_123, None, value, envelope.headers)


def slab_of(record: Record) -> Slab:
    data = encode_record(record, record.offset, record.timestamp)
    batch = Batch(0, len(data), record.offset, record.offset + 1, record.timestamp, -1, 1)
    return Slab(record.topic, record.partition, data, [batch], record.offset)


def wire_first(inspector: Inspector, record: Record) -> list[Found]:
    """As the service does it: raw bytes first, and a closer look only where something hit."""
    (inspected,), _ = inspector.slabs([slab_of(record)])
    assert inspected.failures == []
    return inspected.found


def decoded_first(inspector: Inspector, record: Record) -> list[Found]:
    """All of the record decoded and scanned, whatever hit on the wire."""
    return inspector.record(record, Tally())


def seen(found: Sequence[Found]) -> list[Any]:
    return [(f.finding.candidate.detector.id, f.finding.candidate.secret.reveal(), f.location, f.occurrences) for f in found]


def texts_of(events: Sequence[Event]) -> list[bytes]:
    return [text.data for event in events for text in event.texts]


# -- texts come out unchanged ------------------------------------------------------------------------------------------

HARD = "a \"quoted\" \\ back\\slash, a/path, a\ttab,\r\nlines\n<tag attr='1'>&amp; ünï → 漢字 😀 \x00\x7f +=% end"
TEXTS = st.text(alphabet="ab \"'\\/\n\r\t<>&=+{}[]:é漢😀\x00\x7f\u2028", max_size=30).map(lambda text: f"a{text}")


@every_envelope
@given(st.one_of(st.just(HARD), TEXTS))
@settings(deadline=None, max_examples=25)
def test_the_text_comes_out_unchanged(name: str, text: str) -> None:
    found = texts_of(list(sniff.decode(record_of(name, text))))
    written = ENVELOPES[name].written(text).encode()

    if name in JSON:
        assert written in found
    else:
        assert any(written in data for data in found)


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize("style", [*STYLES, "every character"])
def test_the_text_comes_out_unchanged_however_it_is_escaped(name: str, style: str) -> None:
    document = JSON[name].build(HARD)
    value = dump(document, every_character) if style == "every character" else STYLES[style](document)

    assert JSON[name].written(HARD).encode() in texts_of(list(sniff.decode(Record("events", 0, 0, -1, None, value.encode()))))


def leaves(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict | list):
        for item in document.values() if isinstance(document, dict) else document:
            yield from leaves(item)


@pytest.mark.parametrize("name", [name for name in JSON if name != "json in json"])
def test_no_string_of_a_document_is_left_out_whether_its_member_is_known_or_not(name: str) -> None:
    document = JSON[name].build("a text")
    if isinstance(document, dict):
        document = {**document, "x-extension": {"deep": ["one more"]}}
    record = Record("events", 0, 0, -1, None, json.dumps(document).encode())

    assert {leaf.encode() for leaf in leaves(document)} <= set(texts_of(list(sniff.decode(record))))


def test_every_string_of_an_otlp_message_comes_out() -> None:
    found = texts_of(list(sniff.decode(Record("events", 0, 0, -1, None, otlp_protobuf("text", "a scope", "a schema")))))

    assert {b"text", b"a scope", b"a schema", b"INFO", b"/pay", HOST.encode()} <= set(found)


def test_an_otlp_body_of_any_type_comes_out() -> None:
    array = field(5, field(1, field(1, "in an array")) + field(1, field(6, field(1, attribute("key", "in a map")))))
    record = field(2, field(5, array)) + field(2, field(5, field(7, b"as bytes"))) + field(2, field(12, "as event name"))
    found = texts_of(list(sniff.decode(Record("events", 0, 0, -1, None, field(1, field(2, record))))))

    assert {b"in an array", b"in a map", b"as bytes", b"as event name"} <= set(found)


# -- a secret in it is found, once, with what the envelope says --------------------------------------------------------


def planted(detector: Detector, seed: object) -> tuple[str, bytes]:
    secret = proof.secret_of(detector, random.Random(str(seed)))
    return f"first line\nsecond line\ntoken = {secret.decode()}\nlast line", secret


def check_once(found: list[Found], name: str, secret: bytes) -> None:
    assert [f.finding.candidate.secret.reveal() for f in found] == [secret]
    location = found[0].location
    assert found[0].occurrences == 1
    assert (location.topic, location.partition, location.offset) == ("events", 3, 42)
    assert location.envelope == ENVELOPES[name].recognised
    said = {key: getattr(location, key) for key in ENVELOPES[name].offers}
    assert said == ENVELOPES[name].offers
    assert location.line == ENVELOPES[name].line + 2
    assert location.column == 9


@every_envelope
def test_a_planted_secret_is_found_once_with_what_the_envelope_offers(
    name: str, inspector: Inspector, github_token: Detector
) -> None:
    text, secret = planted(github_token, name)

    check_once(wire_first(inspector, record_of(name, text)), name, secret)


@every_envelope
@pytest.mark.parametrize("codec", PACK)
def test_compression_around_an_envelope_changes_nothing(
    name: str, codec: str, inspector: Inspector, github_token: Detector
) -> None:
    text, secret = planted(github_token, name)
    record = record_of(name, text)
    packed = Record("events", 3, 42, record.timestamp, None, PACK[codec](record.value or b""), record.headers)

    check_once(wire_first(inspector, packed), name, secret)


@every_envelope
def test_an_envelope_without_a_secret_gives_nothing(name: str, inspector: Inspector) -> None:
    assert wire_first(inspector, record_of(name, "first line\nsecond line")) == []


def test_a_secret_in_a_json_file_has_its_line_in_the_file(inspector: Inspector, github_token: Detector) -> None:
    secret = proof.secret_of(github_token, random.Random(1)).decode()
    content = json.dumps({"name": "shop", "scripts": {"test": "pytest"}, "token": secret}, indent=2)
    value = json.dumps(native("code", **CODE, start_line=10, content=content)).encode()

    (found,) = wire_first(inspector, Record("events", 0, 0, -1, None, value))

    assert (found.location.path, found.location.line) == (CODE["path"], 15)


@pytest.mark.parametrize("write", ["json", "protobuf"])
def test_an_otlp_record_without_a_time_of_its_own_has_the_time_it_was_observed(write: str) -> None:
    if write == "json":
        document = otlp_json("text")
        del document["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["timeUnixNano"]
        value = json.dumps(document).encode()
    else:
        value = field(1, field(2, field(2, field(5, field(1, "text")) + fixed64(11, int(NANOS)))))

    (event,) = sniff.decode(Record("events", 0, 0, -1, None, value))

    assert event.origin.time == NANOS


@pytest.mark.parametrize("where", ["key", "header", "header name", "member name"])
def test_a_secret_beside_the_values_is_found_once(where: str, inspector: Inspector, github_token: Detector) -> None:
    secret = proof.secret_of(github_token, random.Random(where))
    value = json.dumps({"note": "nothing", **({secret.decode(): "x"} if where == "member name" else {})}).encode()
    headers = ((secret.decode(), b"x"),) if where == "header name" else (("trace", secret if where == "header" else b"x"),)

    found = wire_first(inspector, Record("events", 0, 0, -1, secret if where == "key" else None, value, headers))

    assert [(f.finding.candidate.secret.reveal(), f.occurrences) for f in found] == [(secret, 1)]


def test_secrets_in_several_events_of_a_record_keep_their_places(inspector: Inspector, github_token: Detector) -> None:
    rng = random.Random(7)
    secrets = [proof.secret_of(github_token, rng) for _ in range(3)]
    lines = [json.dumps(native("log", source=f"s{n}", message=secret.decode())) for n, secret in enumerate(secrets)]

    found = wire_first(inspector, Record("events", 0, 0, -1, None, "\n".join(lines).encode()))

    places = [(f.finding.candidate.secret.reveal(), f.location.source) for f in found]
    assert places == [(secret, f"s{n}") for n, secret in enumerate(secrets)]


# -- the first pass misses nothing -------------------------------------------------------------------------------------

NOISE = st.text(alphabet="abcXYZ019 _-./=:\"'\\\n\té漢{}[]<>&+%,;", max_size=40)
SEEDS = st.integers(0, 2**32)


def with_example(detectors: Sequence[Detector], seed: int, lead: str, tail: str) -> tuple[Detector, str]:
    """One of the detectors, and a text that holds one of its examples."""
    rng = random.Random(seed)
    detector = rng.choice(detectors)
    example, _ = rng.choice(list(proof.examples(detector, rng)))
    return detector, f"{lead} {example.decode('latin-1')} {tail}"


def hit_by(loaded: Database, inspector: Inspector, record: Record, kinds: Sequence[str] = ("plain",)) -> set[str]:
    """The detectors that the raw bytes make somebody look for."""
    patterns = [loaded.patterns[pattern] for pattern, _ in inspector.hits(slab_of(record).data)]
    hit = {loaded.detectors[pattern.detector].id for pattern in patterns if pattern.kind in kinds and pattern.detector >= 0}
    if any(pattern.kind == "assignment" for pattern in patterns):
        hit |= {detector.id for detector in loaded.detectors if getattr(detector, "assigned", False)}
    return hit


def check_both_ways(loaded: Database, inspector: Inspector, record: Record) -> None:
    found = decoded_first(inspector, record)

    assert seen(wire_first(inspector, record)) == seen(found)
    unencoded = {f.finding.candidate.detector.id for f in found if f.finding.candidate.encoding is None}
    assert unencoded <= hit_by(loaded, inspector, record)


@pytest.mark.parametrize("style", STYLES)
@given(st.sampled_from(sorted(JSON)), SEEDS, NOISE, NOISE)
@settings(deadline=None, max_examples=60)
def test_wire_first_finds_what_decoding_first_finds(
    loaded: Database, inspector: Inspector, style: str, name: str, seed: int, lead: str, tail: str
) -> None:
    _, text = with_example(loaded.detectors, seed, lead, tail)

    check_both_ways(loaded, inspector, record_of(name, text, style))


@pytest.mark.parametrize("style", ["ascii", "html-safe, all", "in a string in a string"])
def test_no_detector_is_missed_on_the_wire(loaded: Database, inspector: Inspector, style: str) -> None:
    missed = set()
    for detector in loaded.detectors:
        for text, _ in proof.examples(detector, random.Random(detector.id)):
            record = record_of("native log", f"a line\n{text.decode('latin-1')}\nanother", style)
            decoded = {f.finding.candidate.detector.id for f in decoded_first(inspector, record)}
            missed |= decoded - hit_by(loaded, inspector, record)

    assert missed == set()


@pytest.mark.parametrize("name", [name for name in BYTES if name != "cloudevents of base64"])
@given(SEEDS, NOISE, NOISE)
@settings(deadline=None, max_examples=25)
def test_wire_first_finds_what_decoding_first_finds_where_it_is_no_json(
    loaded: Database, inspector: Inspector, name: str, seed: int, lead: str, tail: str
) -> None:
    _, text = with_example(loaded.detectors, seed, lead, tail)

    check_both_ways(loaded, inspector, record_of(name, text))


@given(st.sampled_from(sorted(ENVELOPES)), st.sampled_from(sorted(PACK)), SEEDS, NOISE)
@settings(deadline=None, max_examples=50)
def test_wire_first_finds_what_decoding_first_finds_in_what_is_packed(
    loaded: Database, inspector: Inspector, name: str, codec: str, seed: int, lead: str
) -> None:
    _, text = with_example(loaded.detectors, seed, lead, "")
    plain_record = record_of(name, text)
    record = Record("events", 3, 42, 0, None, PACK[codec](plain_record.value or b""), plain_record.headers)

    assert seen(wire_first(inspector, record)) == seen(decoded_first(inspector, record))


@given(st.sampled_from(sorted(JSON)), SEEDS, NOISE, NOISE)
@settings(deadline=None, max_examples=100)
def test_wire_first_finds_secrets_of_which_every_character_is_escaped(
    loaded: Database, inspector: Inspector, name: str, seed: int, lead: str, tail: str
) -> None:
    _, text = with_example(loaded.detectors, seed, lead, tail)
    record = Record("events", 3, 42, 0, None, dump(JSON[name].build(text), every_character).encode())
    found = decoded_first(inspector, record)

    assert seen(wire_first(inspector, record)) == seen(found)
    kinds = {loaded.patterns[pattern].kind for pattern, _ in inspector.hits(slab_of(record).data)}
    assert "unicode-escape" in kinds


ASSIGNED = re.compile(r"([A-Za-z][\w.-]{2,40}) ?[=:] ?[\"']?\{secret\}")


def otlp_attribute(name: str, secret: str) -> dict[str, Any]:
    document = otlp_json("nothing")
    document["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"] = [
        {"key": name, "value": {"stringValue": secret}}
    ]
    return document


BESIDE: dict[str, Callable[[str, str], Any]] = {
    "member": lambda name, secret: {"config": {"enabled": True, name: secret}},
    "list": lambda name, secret: {name: [secret, "second"]},
    "name and value": lambda name, secret: {"env": [{"name": name, "value": secret}]},
    "otlp attribute": otlp_attribute,
    "column": lambda name, secret: {"source": {"table": "t"}, "op": "u", "before": None, "after": {"id": 1, name: secret}},
    "header": lambda name, secret: {"note": "nothing"},
}


def of_providers(found: Sequence[Found]) -> list[Found]:
    return [f for f in found if not f.finding.candidate.detector.is_generic]


def beside(shape: str, style: str, name: str, secret: str) -> Record:
    """A record in which one member says what another one holds."""
    headers = ((name, secret.encode("latin-1")),) if shape == "header" else ()
    return Record("events", 3, 42, 0, None, STYLES[style](BESIDE[shape](name, secret)).encode(), headers)


@pytest.mark.parametrize("style", STYLES)
@given(st.sampled_from(sorted(BESIDE)), SEEDS)
@settings(deadline=None, max_examples=30)
def test_wire_first_finds_what_decoding_first_finds_behind_a_member_that_names_it(
    loaded: Database, inspector: Inspector, style: str, shape: str, seed: int
) -> None:
    rng = random.Random(seed)
    named = [
        (detector, found[1])
        for detector in loaded.detectors
        for found in map(ASSIGNED.search, detector.examples)
        if found and detector.keywords
    ]
    detector, name = rng.choice(named)
    record = beside(shape, style, name, proof.secret_of(detector, rng).decode("latin-1"))
    found = of_providers(decoded_first(inspector, record))

    assert seen(of_providers(wire_first(inspector, record))) == seen(found)
    # a form that asks for quotes or `=` is seen only where something else hits: on the wire there are none between members
    assigned = {f.finding.candidate.detector.id for f in found if f.finding.candidate.detector.assigned}
    assert assigned <= hit_by(loaded, inspector, record)


@pytest.mark.parametrize("shape", [shape for shape in BESIDE if shape != "name and value"])
@pytest.mark.parametrize("style", ["plain", "html-safe, all", "pretty"])
def test_wire_first_finds_a_secret_of_no_provider_behind_a_member_that_names_it(
    loaded: Database, inspector: Inspector, shape: str, style: str
) -> None:
    generic = next(detector for detector in loaded.detectors if detector.id == "generic-secret")
    # of a length that is no letter where it stands between a header's name and its value
    drawn = (proof.secret_of(generic, random.Random(seed)).decode() for seed in itertools.count())
    secret = next(secret for secret in drawn if 14 <= len(secret) < 24 or len(secret) >= 64)
    record = beside(shape, style, "client_secret", secret)
    found = decoded_first(inspector, record)

    assert len(found) == 1
    assert seen(wire_first(inspector, record)) == seen(found)


def test_a_member_that_stands_twice_hides_nothing(inspector: Inspector, github_token: Detector) -> None:
    secret = proof.secret_of(github_token, random.Random(5))
    record = Record("events", 0, 1, 0, None, b'{"log": "' + secret + b'", "log": "later"}')

    assert [f.finding.candidate.secret.reveal() for f in wire_first(inspector, record)] == [secret]


# -- whatever comes ----------------------------------------------------------------------------------------------------


@every_envelope
@given(SEEDS, st.data())
@settings(deadline=None, max_examples=25)
def test_cut_off_anywhere_or_with_flipped_bytes_it_is_survived(
    inspector: Inspector, github_token: Detector, name: str, seed: int, data: st.DataObject
) -> None:
    text, _ = planted(github_token, seed)
    whole = record_of(name, text)
    value = bytearray(whole.value or b"")
    packed = data.draw(st.sampled_from([None, *PACK]))
    if packed:
        value = bytearray(PACK[packed](bytes(value)))
    for at in data.draw(st.lists(st.integers(0, len(value) - 1), max_size=5)):
        value[at] ^= data.draw(st.integers(1, 255))
    cut = bytes(value[: data.draw(st.integers(0, len(value)))])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressed, "MOST_BYTES", 1 << 16)
        (inspected,), _ = inspector.slabs([slab_of(Record("events", 3, 42, 0, b"key", cut, whole.headers))])

    assert {failure.reason for failure in inspected.failures} <= {"decompression_limit"}


@pytest.mark.parametrize("name", sorted({*BYTES, "native log", "unknown json"} - {"cloudevents of base64", "otlp protobuf"}))
def test_what_is_cut_off_behind_a_secret_still_gives_it(name: str, inspector: Inspector, github_token: Detector) -> None:
    text, secret = planted(github_token, name)
    whole = record_of(name, text)
    value = whole.value or b""
    cut = value[: value.index(secret) + len(secret)]

    found = wire_first(inspector, Record("events", 0, 0, -1, None, cut, whole.headers))

    assert [f.finding.candidate.secret.reveal() for f in found] == [secret]
