"""Every string of a JSON document: none lost, none changed, each with its path."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.decode import strings
from service.decode.strings import LONG_NAME, MOST_DOCUMENTS, at, first, parse, texts

PLAIN = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20).filter(
    lambda text: text.lstrip()[:1] not in ("{", "[")
)
NAMES = st.text(alphabet="abcé_", min_size=1, max_size=2 * LONG_NAME)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), PLAIN)
DOCUMENTS = st.recursive(
    LEAVES, lambda below: st.one_of(st.lists(below, max_size=4), st.dictionaries(NAMES, below, max_size=4)), max_leaves=12
)


def listed(document: Any, path: str = "", name: str | None = None) -> Iterator[tuple[str, str, str | None, str]]:
    """What is to come out, written down once more: text, path, name and kind."""
    if isinstance(document, dict):
        for key, item in document.items():
            below = f"{path}.{key}" if path else key
            if len(key) >= LONG_NAME:
                yield key, below, None, "key"
            yield from listed(item, below, key)
    elif isinstance(document, list):
        for index, item in enumerate(document):
            yield from listed(item, f"{path}[{index}]", name if index == 0 else None)
    elif document is not None and not isinstance(document, bool):
        yield str(document), path, name, "content"


@given(DOCUMENTS)
@settings(deadline=None, max_examples=100)
def test_every_string_and_number_comes_out_in_order_with_path_and_name(document: Any) -> None:
    found = [(t.data.decode(), t.field, t.name.decode() if t.name else None, t.kind) for t in texts(document)]

    assert found == list(listed(document))


@given(DOCUMENTS, st.booleans())
@settings(deadline=None, max_examples=100)
def test_a_document_is_read_as_pythons_own_reader_reads_it(document: Any, ascii_only: bool) -> None:
    assert parse(json.dumps(document, ensure_ascii=ascii_only).encode()) == document


def test_the_path_goes_on_from_where_it_is_told_to() -> None:
    assert [text.field for text in texts({"a": ["x"]}, "payload")] == ["payload.a[0]"]


def test_a_document_in_a_string_is_taken_apart_in_its_place() -> None:
    inner = json.dumps({"token": "x\ny", "list": ["z"]})

    found = [(text.data, text.field, text.name) for text in texts({"before": "1", "log": inner, "after": "2"})]

    assert found == [
        (b"1", "before", b"before"),
        (b"x\ny", "log.token", b"token"),
        (b"z", "log.list[0]", b"list"),
        (b"2", "after", b"after"),
    ]


def test_documents_in_strings_are_followed_to_the_limit_and_are_text_below_it() -> None:
    document: Any = {"deep": "the text"}
    for _ in range(MOST_DOCUMENTS):
        document = {"next": json.dumps(document)}
    assert [text.data for text in texts(document)] == [b"the text"]

    (text,) = texts({"next": json.dumps(document)})
    assert json.loads(text.data) == {"deep": "the text"}


@pytest.mark.parametrize("nearly", ["{", "[", "{'a': 1}", "[1, 2", "{} and more", '{"a": }', "[INFO] started", "{0}", "[]x"])
def test_a_string_that_only_begins_like_a_document_is_text(nearly: str) -> None:
    assert [text.data for text in texts({"m": nearly})] == [nearly.encode()]


def test_nesting_costs_no_stack() -> None:
    document: Any = "bottom"
    for _ in range(100_000):
        document = [document]

    assert [text.data for text in texts(document)] == [b"bottom"]


DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


@pytest.mark.parametrize("value", [b"[" * 100_000, DEEP, b'{"a": "\xff"}', b"", b"{", b"nul"], ids=range(6))
def test_what_is_no_document_or_nested_too_deep_is_a_value_error(value: bytes) -> None:
    with pytest.raises(ValueError, match="no JSON"):
        parse(value)


@given(st.binary(max_size=60), st.sampled_from([b"", b"{", b"[", b'"', b'{"a":"\\u', b'{"a":"\\ud800']))
@settings(deadline=None, max_examples=100)
def test_arbitrary_bytes_are_read_or_are_a_value_error(data: bytes, lead: bytes) -> None:
    try:
        document = parse(lead + data)
    except ValueError:
        return
    assert all(isinstance(text.data, bytes) for text in texts(document))


def test_a_path_leads_to_a_string_or_number_and_else_to_nothing() -> None:
    document = {"a": [{"b": "text"}, 5, True, None], "c": 1.5}

    assert at(document, "a", 0, "b") == "text"
    assert (at(document, "a", 1), at(document, "c")) == ("5", "1.5")
    for path in (("a",), ("a", 2), ("a", 3), ("a", 9), ("a", "b"), ("x", "y"), (0,), ("a", 0, "b", "c")):
        assert at(document, *path) is None


def test_the_first_path_that_holds_something_counts() -> None:
    document = {"empty": "", "none": None, "host": {"name": "web-1"}, "later": "no"}

    assert first(document, "empty", "none", "host", ("host", "name"), "later") == "web-1"
    assert first(document, "missing", "empty") is None


def test_lone_surrogates_do_not_stop_the_reading_of_strings() -> None:
    (text,) = strings.texts(["\ud800 and more"])

    assert text.data == b"\xed\xa0\x80 and more"
