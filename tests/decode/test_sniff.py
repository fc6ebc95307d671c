"""From a record to its events: what it is recognised as, and that nothing is refused or lost."""

import base64
import gzip
import json
from typing import Any

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.decode import compressed, sniff
from service.decode.sniff import MOST_UNPACKED, decode
from service.errors import UndecodableError
from service.records import Event, Record

LOG = {"type": "log", "message": "a line"}


def events(value: bytes | None, envelope: str | None = None, key: bytes | None = None, headers: Any = ()) -> list[Event]:
    return list(decode(Record("events", 0, 1, -1, key, value, headers), envelope))


def names(found: list[Event]) -> list[str]:
    return [event.origin.envelope for event in found]


def strings_of(found: list[Event]) -> list[bytes]:
    return [text.data for event in found for text in event.texts]


def written(document: Any) -> bytes:
    return json.dumps(document).encode()


# -- the record itself -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, b""])
def test_a_value_of_nothing_is_no_event(value: bytes | None) -> None:
    assert events(value) == []


def test_key_and_headers_are_an_event_of_their_own_after_the_value() -> None:
    found = events(b"text", key=b"the key", headers=(("trace", b"the header"), ("none", None)))

    assert names(found) == ["text", "record"]
    assert [(text.field, text.name, text.data) for text in found[1].texts] == [
        ("key", None, b"the key"),
        ("headers.trace", b"trace", b"the header"),
        ("headers.none", None, b""),
    ]


def test_a_tombstone_still_has_its_key() -> None:
    assert strings_of(events(None, key=b"the key")) == [b"the key"]


# -- recognising -------------------------------------------------------------------------------------------------------


def test_every_family_names_its_envelopes_and_text_and_json_are_among_them() -> None:
    known = sniff.envelopes()

    assert {"native", "filebeat", "otlp", "debezium", "cloudevents", "github", "syslog", "cri", "text", "json"} <= set(known)
    for family in sniff.families():
        assert all(known[name] is family for name in family.NAMES)


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ({"type": "code", "content": "x"}, "native"),
        ({"type": "code", "content": 5}, "json"),
        ({"type": "invoice", "content": "x"}, "json"),
        ({"resourceLogs": [{}]}, "otlp"),
        ({"resourceLogs": {}}, "json"),
        ({"source": {}, "op": "d", "before": {}, "after": None}, "debezium"),
        ({"schema": {}, "payload": {"source": {}, "op": "c", "after": {}}}, "debezium"),
        ({"source": "x", "op": "c", "after": {}}, "json"),
        ({"specversion": "1.0", "source": "x", "type": "y", "id": "1"}, "cloudevents"),
        ({"@timestamp": "t", "@version": "1", "message": "m"}, "logstash"),
        ({"@timestamp": "t", "agent": {}, "message": "m"}, "filebeat"),
        ({"@timestamp": 1.5, "log": "m"}, "fluentbit"),
        ({"short_message": "m", "version": "1.1", "host": "h"}, "gelf"),
        ({"log": "m", "stream": "stdout", "time": "t"}, "docker"),
        ({"ref": "r", "repository": {}, "commits": []}, "github"),
        ({"object_kind": "push"}, "gitlab"),
        ({"push": {"changes": []}, "repository": {}}, "bitbucket"),
        ({"eventKey": "repo:refs_changed"}, "bitbucket-server"),
        ({}, "json"),
        ({"anything": "else"}, "json"),
    ],
)
def test_a_document_is_recognised_by_its_members(document: dict[str, Any], name: str) -> None:
    assert names(events(written(document))) == [name]


def test_a_topic_may_fix_the_envelope() -> None:
    value = written({"@timestamp": "t", "@version": "1", "message": "m"})

    assert names(events(value)) == ["logstash"]
    assert names(events(value, "text")) == ["text"]
    assert strings_of(events(value, "text")) == [value]


def test_what_is_not_the_fixed_envelope_is_read_as_unknown_json() -> None:
    found = events(written(LOG), "otlp")

    assert names(found) == ["json"]
    assert b"a line" in strings_of(found)


# -- shapes of JSON ----------------------------------------------------------------------------------------------------


def test_each_object_of_an_array_is_an_event_and_the_rest_is_one_more() -> None:
    found = events(written([LOG, "loose", {"anything": "else"}, ["deep"]]))

    assert names(found) == ["native", "json", "json"]
    assert strings_of(found) == [b"log", b"a line", b"else", b"loose", b"deep"]


@pytest.mark.parametrize("line_break", [b"\n", b"\r\n", b"\n\n"])
def test_each_line_of_ndjson_is_an_event(line_break: bytes) -> None:
    found = events(line_break.join([written(LOG), written({"a": "b"}), b""]))

    assert names(found) == ["native", "json"]


def test_ndjson_that_breaks_off_is_text_and_whole() -> None:
    value = written(LOG) + b"\n" + written(LOG)[:-5]

    assert strings_of(events(value)) == [value]


def test_a_string_that_holds_a_document_is_read_as_the_document() -> None:
    assert b"a\nline" in strings_of(events(written(json.dumps({"type": "log", "message": "a\nline"}))))


def test_a_string_alone_is_read_as_what_it_says() -> None:
    assert strings_of(events(written('a "quoted"\nline'))) == [b'a "quoted"\nline']


MARKED = {
    "blanks": lambda text: b" \n\t" + text.encode(),
    "UTF-8": lambda text: text.encode("utf-8-sig"),
    "UTF-16LE": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "UTF-16BE": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
}


@pytest.mark.parametrize("how", MARKED)
def test_blanks_and_marks_of_byte_order_do_not_hide_a_document(how: str) -> None:
    found = events(MARKED[how](json.dumps({"type": "log", "message": "für 漢"}, ensure_ascii=False)))

    assert names(found) == ["native"]
    assert "für 漢".encode() in strings_of(found)


def test_bytes_that_are_no_utf8_do_not_hide_a_document() -> None:
    found = events(b'{"type": "log", "message": "caf\xe9 and more"}')

    assert names(found) == ["native"]
    assert strings_of(found)[1].endswith(b" and more")


@pytest.mark.parametrize("value", [b"[" * 100_000 + b"x", b'{"a":' * 100_000 + b'"x"' + b"}" * 100_000])
def test_what_is_nested_too_deep_is_text(value: bytes) -> None:
    assert (names(events(value)), strings_of(events(value))) == (["text"], [value])


def test_text_that_is_no_utf8_is_kept_byte_by_byte() -> None:
    value = b"plain \xff\xfe\0 bytes"

    assert strings_of(events(value)) == [value]


# -- values inside values ----------------------------------------------------------------------------------------------

PACK = {
    "gzip": gzip.compress,
    "zstd": lambda value: bytes(cramjam.zstd.compress(value)),
    "lz4": lambda value: bytes(cramjam.lz4.compress(value)),
    "snappy": lambda value: bytes(cramjam.snappy.compress(value)),
}


@pytest.mark.parametrize("outer", PACK)
@pytest.mark.parametrize("inner", PACK)
def test_a_value_compressed_twice_is_read(outer: str, inner: str) -> None:
    value = PACK[outer](PACK[inner](written(LOG)))

    assert names(events(value)) == ["native"]


def test_deeper_than_the_limit_a_value_is_left_as_it_is() -> None:
    value = written(LOG)
    for _ in range(MOST_UNPACKED + 1):
        value = gzip.compress(value)

    found = events(value)

    assert names(found) == ["text"]
    assert gzip.decompress(strings_of(found)[0]) == written(LOG)


def test_a_damaged_compressed_value_is_looked_through_as_it_is() -> None:
    value = gzip.compress(b"x")[:10] + b"\xff" * 30

    assert strings_of(events(value)) == [value]


def test_a_bomb_inside_a_compressed_value_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "MOST_BYTES", 1 << 16)

    with pytest.raises(UndecodableError):
        events(gzip.compress(gzip.compress(bytes(1 << 20))))


def cloud_event(**data: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "/orders", "type": "created", **data}


def test_what_a_cloud_event_carries_in_base64_is_read_as_a_value() -> None:
    packed = base64.b64encode(gzip.compress(written(LOG))).decode()
    found = events(written(cloud_event(data_base64=packed)))

    assert names(found) == ["cloudevents", "native"]
    assert packed.encode() not in strings_of(found)


def test_cloud_events_inside_cloud_events_end_at_the_limit() -> None:
    document = cloud_event(data="the text")
    for _ in range(10):
        document = cloud_event(data_base64=base64.b64encode(written(document)).decode())

    assert len(events(written(document))) == MOST_UNPACKED + 1


@pytest.mark.parametrize("data", ["no base64!", "é", 5, None, "QQ", ""])
def test_a_cloud_event_with_wrong_base64_is_still_an_event(data: Any) -> None:
    assert names(events(written(cloud_event(data_base64=data))))[0] == "cloudevents"


# -- whatever comes ----------------------------------------------------------------------------------------------------

MEMBERS = [
    *("type", "content", "patch", "message", "id", "time", "repository", "ref", "commit", "path", "author", "start_line"),
    *("source", "host", "resourceLogs", "resource", "attributes", "key", "value", "stringValue", "bytesValue", "scopeLogs"),
    *("logRecords", "timeUnixNano", "body", "push", "changes", "new", "target", "hash", "commits", "head_commit", "eventKey"),
    *("object_kind", "payload", "op", "after", "before", "schema", "specversion", "subject", "data", "data_base64", "agent"),
    *("@timestamp", "@version", "@metadata", "ecs", "log", "file", "stream", "kubernetes", "pod_name", "tag", "container_id"),
    *("short_message", "version", "syslogtag", "source_type", "timestamp", "name", "url"),
]
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["code", "log", "push", "repo:refs_changed", "1.0", "aGk=", '{"type": "log", "message": "m"}']),
)
STRANGE = st.recursive(
    LEAVES,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.sampled_from(MEMBERS), below, max_size=6)),
    max_leaves=15,
)
ENVELOPES = st.sampled_from([None, *sorted(sniff.envelopes()), "unheard of"])


@given(st.dictionaries(st.sampled_from(MEMBERS), STRANGE, min_size=1, max_size=8), ENVELOPES)
@settings(deadline=None, max_examples=100)
def test_known_members_with_strange_contents_never_raise(document: dict[str, Any], envelope: str | None) -> None:
    found = events(written(document), envelope)

    for event in found:
        said = (event.origin.repository, event.origin.path, event.origin.source, event.origin.host, event.origin.time)
        assert all(part is None or isinstance(part, str) for part in said)
        assert all(isinstance(text.data, bytes) for text in event.texts)


HEADS = (b"", b"{", b"[", b'"', b"\n", b"\xef\xbb\xbf{", b"\xff\xfe{", b"<13>1 ", b'{"a": 1}\n{')


@given(st.sampled_from(HEADS), st.binary(max_size=100), ENVELOPES)
@settings(deadline=None, max_examples=100)
def test_arbitrary_bytes_never_raise_and_are_read_as_something(head: bytes, data: bytes, envelope: str | None) -> None:
    value = head + data

    found = events(value, envelope)

    assert bool(found) == bool(value)


# -- where hits are known ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("join", ["array", "lines"])
def test_events_in_which_nothing_hit_are_counted_and_have_no_texts(join: str) -> None:
    made = [written({"number": number, "text": f"a line of {number} words, {'more ' * 9}"}) for number in range(5)]
    value = b"[" + b", ".join(made) + b"]" if join == "array" else b"\n".join(made)
    end = value.index(b"3 words") + 4

    found = list(decode(Record("events", 0, 1, -1, None, value), None, [end]))

    assert [bool(event.texts) for event in found] == [False, False, False, True, False]
    assert strings_of(found) == [b"3", b"a line of 3 words, " + b"more " * 9]
    assert len(found) == len(events(value))


def test_an_envelope_keeps_all_of_its_strings_wherever_something_hit() -> None:
    document = {"type": "log", "source": "billing", "host": "h" * 10_000, "message": "the hit"}
    value = written(document)

    assert list(decode(Record("events", 0, 1, -1, None, value), None, [len(value) - 3])) == events(value)
