"""What of a JSON document stays where only some of it was hit: all that is near, at the paths where it was."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.decode import near, strings
from service.decode.near import REACH_BYTES, Part, items, pruned
from tests.decode.test_strings import DOCUMENTS

HIT = "Qx7hit"


def part_of(written: bytes) -> Part:
    """The document as it is written, hit wherever it says so."""
    ends, at = [], -1
    while (at := written.find(HIT.encode(), at + 1)) >= 0:
        ends.append(at + len(HIT))
    return Part(written, ends)


def places(document: Any) -> list[tuple[str, bytes]]:
    return [(text.field, text.data) for text in strings.texts(document)]


def cut(document: Any, indent: int | None = None) -> list[tuple[str, bytes]]:
    written = json.dumps(document, indent=indent).encode()
    return places(pruned(strings.parse(written), part_of(written)))


@given(DOCUMENTS, DOCUMENTS, st.sampled_from([None, 2]), st.integers(0, 2**32))
@settings(deadline=None, max_examples=100)
def test_what_is_hit_stays_at_its_path_with_what_is_near(one: Any, other: Any, indent: int | None, seed: int) -> None:
    rng = random.Random(seed)
    many = [{"filling": f"{rng.random()} words"} for _ in range(400)]
    near_by = {"one": one, "list": [other, f"a {HIT}"], "other": other}
    document = {"list": [*many, near_by, *many], "beside": many}

    found = cut(document, indent)

    assert [place for place in found if place[0].startswith("list[400]")] == [
        place for place in places(document) if place[0].startswith("list[400]")
    ]
    assert set(found) <= set(places(document))
    assert len(found) < len(places(document)) / 2


def test_a_name_that_is_hit_stays() -> None:
    filling = {f"member {n}": "x" * 50 for n in range(400)}
    document = {**filling, f"a name that is long and {HIT}": None, **{f"more {n}": "y" * 50 for n in range(400)}}

    found = cut(document)

    assert (f"a name that is long and {HIT}", f"a name that is long and {HIT}".encode()) in found
    assert len(found) < 400


def test_what_is_farther_than_the_reach_is_left_out() -> None:
    assert cut({"a": HIT, "b": "x" * (REACH_BYTES + 10), "c": "far"}) == [("a", HIT.encode()), ("b", b"x" * (REACH_BYTES + 10))]


def test_where_two_members_have_one_name_all_stays() -> None:
    filling = ", ".join(f'"n{n}": "{"x" * 50}"' for n in range(200))
    for twice in ('"a": 1, "a": 1', f'"a": 1, "a": "{HIT}"', f'"a": "{HIT}", {filling}, "a": "{HIT}"'):
        written = ("{" + filling + ", " + twice + "}").encode()
        document = strings.parse(written)

        assert pruned(document, part_of(written)) == document


@pytest.mark.parametrize("written", ["[%s]", " [ %s ]\n"])
def test_elements_of_an_array_are_told_by_their_hits(written: str) -> None:
    data = (written % f'{{"a": "{HIT}"}} ,\n{" " * 20}"{"b" * 400}", {{"c": [1, 2]}},null,{" " * 20}"{HIT}"').encode()

    found = items(part_of(data), strings.parse(data))

    assert found is not None
    assert [part and part.data for part in found] == [f'{{"a": "{HIT}"}}'.encode(), None, None, None, f'"{HIT}"'.encode()]
    assert [part.data[end - len(HIT) : end] for part in found if part for end in part.ends] == [HIT.encode()] * 2


def test_lines_of_json_are_told_by_their_hits() -> None:
    data = f'{{"a": 1, "b": "{"x" * 400}"}}\n{" " * 20}\n{{"a": "{HIT}"}}\n{" " * 20}\n{{"a": "{"x" * 40}"}}\n'.encode()

    found = items(part_of(data), [1, 2, 3])

    assert found is not None
    assert [part and part.data for part in found] == [None, f'{{"a": "{HIT}"}}'.encode(), None]


@pytest.mark.parametrize("data", [b"\xff\xfe[\0]\0", b"[1, 2", b'{"a": 1}\n{'])
def test_what_cannot_be_told_is_said_so(data: bytes) -> None:
    assert items(Part(data, [3]), [1, 2, 3, 4]) is None


def test_what_is_many_small_elements_stays_as_it_is() -> None:
    written = b"[" + b"1," * 5000 + b'"' + HIT.encode() + b'"]'
    document = strings.parse(written)

    assert items(part_of(written), document) is None
    assert pruned(document, part_of(written)) is document


def test_deep_nesting_is_looked_into_a_few_levels_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    elements = near._elements
    monkeypatch.setattr(near, "_elements", lambda data: asked.append(1) or elements(data))
    written = b"[" * 500 + b'"' + HIT.encode() + b"x" * 5000 + b'"' + b"]" * 500
    document = strings.parse(written)

    assert pruned(document, part_of(written)) == document
    assert len(asked) == near.MOST_LEVELS
