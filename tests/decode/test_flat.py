"""An event laid out as one text, and from every place of it back to string, line and column."""

import difflib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.decode.flat import Flat
from service.records import Event, Origin, Span, Text

BODIES = st.text(alphabet="ab:\"'\n{}+-@ é", max_size=30).map(str.encode)
TEXTS = st.builds(
    Text,
    data=BODIES,
    field=st.just("field"),
    first_line=st.integers(1, 500),
    name=st.one_of(st.none(), st.sampled_from([b"token", b"long_name_of_a_member"])),
)


def event(*texts: Text) -> Event:
    return Event(Origin(), texts)


@given(st.lists(TEXTS, max_size=6))
@settings(deadline=None, max_examples=100)
def test_every_byte_of_every_text_is_found_again_with_its_line_and_column(texts: list[Text]) -> None:
    flat = Flat(event(*texts))
    at = 0
    for text in texts:
        lead = text.name + b': "' if text.name else b""
        start = at + len(lead)
        assert flat.data[at : start + len(text.data)] == lead + text.data
        for offset in range(len(text.data)):
            place = flat.place(Span(start + offset, start + offset + 1))
            assert place is not None
            lines = text.data[:offset].split(b"\n")
            assert (place.text, place.offset) == (text, offset)
            assert (place.line, place.column) == (text.first_line + len(lines) - 1, len(lines[-1]) + 1)
        at = start + len(text.data) + len(b'"\n' if text.name else b"\n")


@given(st.lists(TEXTS, max_size=5), st.integers(0, 300), st.integers(0, 300))
@settings(deadline=None, max_examples=100)
def test_a_place_is_inside_one_text_or_none(texts: list[Text], start: int, length: int) -> None:
    flat = Flat(event(*texts))
    place = flat.place(Span(start, start + length))

    if place is not None:
        assert place.offset + length <= len(place.text.data)
        assert place.text.data[place.offset : place.offset + length] == flat.data[start : start + length]


def test_what_goes_beyond_its_text_or_stands_in_a_name_has_no_place() -> None:
    flat = Flat(event(Text(b"one", "a"), Text(b"two", "b", name=b"name")))

    assert flat.data == b'one\nname: "two"\n'
    assert flat.place(Span(1, 6)) is None
    assert flat.place(Span(4, 8)) is None


def test_a_single_text_without_a_name_is_laid_out_as_it_is() -> None:
    assert Flat(event(Text(b"just\nthis", "value"))).data == b"just\nthis"


def test_an_event_without_texts_is_empty() -> None:
    flat = Flat(event())

    assert (flat.data, flat.place(Span(0, 0))) == (b"", None)


# -- patches -----------------------------------------------------------------------------------------------------------


def lines_of(rng: random.Random, count: int) -> list[str]:
    leads = ("", "", "    ", "-- ", "++", "@@ ", "\\ ", "+", "-")
    return [f"{rng.choice(leads)}line {rng.getrandbits(60):x}\n" for _ in range(count)]


@given(st.integers(0, 2**32), st.integers(0, 4))
@settings(deadline=None, max_examples=100)
def test_lines_of_a_patch_are_numbered_as_in_the_new_file(seed: int, context: int) -> None:
    rng = random.Random(seed)
    old = lines_of(rng, rng.randrange(1, 30))
    new = [line for line in old if rng.random() < 0.8]
    for _ in range(rng.randrange(1, 4)):
        new[(at := rng.randrange(len(new) + 1)) : at] = lines_of(rng, rng.randrange(1, 4))
    patch = "".join(difflib.unified_diff(old, new, "a/file", "b/file", n=context)).encode()
    flat = Flat(event(Text(patch, "patch", kind="patch")))

    for number, line in enumerate(new, 1):
        written = line.strip().rpartition("line ")[2].encode()
        at = flat.data.find(written)
        if at >= 0:
            place = flat.place(Span(at, at + len(written)))
            assert place is not None
            assert (place.line, place.column) == (number, line.encode().index(written) + 1)


PATCH = b"""diff --git a/x b/x
--- a/x
+++ b/x
@@ -10,4 +20,5 @@ def head():
 kept
-removed
+added one
+added two
 last
\\ No newline at end of file
@@ -40 +51 @@
-old word
+new word
"""


LINES = {b"kept": 20, b"removed": 21, b"added one": 21, b"added two": 22, b"last": 23, b"old word": 51, b"new word": 51}


@pytest.mark.parametrize(("word", "line"), LINES.items())
def test_a_removed_line_has_the_number_of_the_line_it_stood_before(word: bytes, line: int) -> None:
    flat = Flat(event(Text(PATCH, "patch", kind="patch")))
    at = flat.data.index(word, PATCH.index(b"kept") - 1)
    place = flat.place(Span(at, at + len(word)))

    assert place is not None
    assert (place.line, place.column) == (line, 1)


def test_the_margin_is_no_part_of_a_line_and_keeps_all_places() -> None:
    flat = Flat(event(Text(PATCH, "patch", kind="patch")))

    assert len(flat.data) == len(PATCH)
    assert b"\n added one\n added two\n" in flat.data
    assert b"\n+++ b/x\n" in flat.data


def test_a_patch_without_a_hunk_is_numbered_from_its_beginning() -> None:
    place = Flat(event(Text(b"+one\n+two", "patch", kind="patch"))).place(Span(6, 9))

    assert place is not None
    assert (place.line, place.column) == (2, 1)
