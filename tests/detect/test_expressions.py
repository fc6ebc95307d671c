"""The syntax tree: what it accepts, and the forms that are made of it."""

import random
import re

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from service.detect import expressions
from service.errors import ExpressionError

_ATOMS = st.sampled_from(["a", "Z", "_", "-", r"\.", r"\/", "[A-Za-z0-9]", "[a-f0-9]", '[^"]', r"\d", "[+/=]", '"', "=", " "])
_REPEATED = st.tuples(_ATOMS, st.sampled_from(["", "?", "{3}", "{2,5}", "{4,}"])).map("".join)
_SEQUENCES = st.lists(_REPEATED, min_size=1, max_size=5).map("".join)
EXPRESSIONS = st.one_of(
    _SEQUENCES,
    st.tuples(_SEQUENCES, _SEQUENCES).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
    st.tuples(_SEQUENCES, _SEQUENCES).map(lambda pair: f"{pair[0]}(?i:{pair[1]})"),
)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("^a", "anchor"),
        ("a$", "anchor"),
        ("(a)", "group is written"),
        ("(?=a)b", "look-around"),
        ("(?P<x>a)", "look-around, names"),
        ("a*?", "lazy"),
        ("a++", "possessive"),
        ("(?:a", "ends too early"),
        ("a)", "unexpected"),
        ("[a", "ends too early"),
        (r"\b", "not part of the syntax"),
        ("[z-a]", "range"),
        ("a{3,1}", "wrong way round"),
        ("*a", "nothing to repeat"),
        ("a{99999}", "more than"),
        ("(?:(?:[a-f]{1,50}[b-z]{1,50}){1,50}[c-x]{20,200}){60}", "multiply"),
    ],
)
def test_what_is_outside_the_subset_is_refused_with_its_place(wrong: str, why: str) -> None:
    with pytest.raises(ExpressionError, match=re.escape(why)):
        expressions.parse(wrong)


@given(EXPRESSIONS, st.randoms(use_true_random=False))
def test_a_sample_is_matched_by_the_exact_form_and_by_pythons_own_engine(text: str, rng: random.Random) -> None:
    node = expressions.parse(text)
    found = expressions.sample(node, rng)

    assert re.fullmatch(text.encode(), found, re.DOTALL)
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    assert re2.compile(expressions.exact(node).encode("latin-1"), options).fullmatch(found)


@given(EXPRESSIONS, st.randoms(use_true_random=False))
def test_the_wire_form_is_found_in_the_plain_text(text: str, rng: random.Random) -> None:
    node = expressions.parse(text)
    found = expressions.sample(node, rng)

    assert re.search(expressions.wire(node).encode("latin-1"), found, re.DOTALL)


@given(EXPRESSIONS, st.randoms(use_true_random=False))
def test_a_sample_has_a_length_within_the_width(text: str, rng: random.Random) -> None:
    node = expressions.parse(text)
    least, most = expressions.width(node)

    assert least <= len(expressions.sample(node, rng)) <= most


@given(EXPRESSIONS, st.randoms(use_true_random=False))
def test_a_sample_begins_like_one_of_the_paths(text: str, rng: random.Random) -> None:
    node = expressions.parse(text)
    found = expressions.sample(node, rng)
    ways = expressions.paths(node)

    assert any(all(byte in allowed for byte, allowed in zip(found, way, strict=False)) for way in ways)


def test_prefixes_are_the_literals_with_which_matches_begin() -> None:
    node = expressions.parse(r"sk_(?:live|test)_[A-Za-z0-9]{24}")

    assert expressions.prefixes(node) == [b"sk_live_", b"sk_test_"]


def test_trailing_repeats_are_cut_to_their_least_length_on_the_wire() -> None:
    assert expressions.wire(expressions.parse("key_[a-f0-9]{24,99}={0,2}")) == r"key_[0-9a-f]{24}"


@pytest.mark.parametrize("written", [b'"d"', b'\\"d\\"', b'\\\\\\"d\\\\\\"', b"\\u0022d\\u0022", b"%22d%22", b"%2522d%2522"])
def test_a_short_run_is_known_in_each_way_of_writing_it(written: bytes) -> None:
    wire = expressions.wire(expressions.parse('"d"'))

    assert re.fullmatch(wire.encode("latin-1"), written)


@given(EXPRESSIONS, st.integers(0, 2**32))
def test_one_of_the_beginnings_matches_whatever_the_whole_does(text: str, seed: int) -> None:
    node = expressions.parse(text)
    secret = expressions.sample(node, random.Random(seed))
    found = [expressions.Linear(expressions.exact(tree)) for tree in expressions.beginnings(node)]
    assert any(tree.search(secret) for tree in found)


@pytest.mark.parametrize(
    ("expression", "beginnings"),
    [
        ("gh[pousr]_[a-z]{36}", ["gho_", "ghp_", "ghr_", "ghs_", "ghu_"]),
        (r"100[13]\.[a-f0-9]{32}", ["1001.", "1003."]),
        ("sk_live_[a-z]{24}", ["sk_live_"]),
        ("hf_[a-z]{34}", ["hf_"]),
        ("git(?:[+]http)?:[a-z]{9}", ["git+http:", "git:"]),
        ("xo[a-z]i_[a-z]{24}", ["i_"]),
    ],
)
def test_beginnings_are_told_apart_where_they_share_little(expression: str, beginnings: list[str]) -> None:
    found = expressions.beginnings(expressions.parse(expression))
    assert sorted(expressions.split_fixed(tree)[0].decode() for tree in found) == beginnings


@pytest.mark.parametrize(
    ("expression", "beginning"),
    [
        (r"https://hooks\.acme\.com/in/[a-z]{24}", b"hooks.acme.com"),
        (r"https?://[a-z]{3,9}\.acme-hooks\.com/[a-z]{24}", b".acme-hooks.com"),
        ("https://[a-f0-9]{32}@acme-errors/[0-9]{3}", b"@acme-errors"),
        ("acme_[a-z]{24}", b"acme_"),
    ],
)
def test_an_address_begins_at_what_is_its_own(expression: str, beginning: bytes) -> None:
    tree = expressions.from_rare_run(expressions.parse(expression))
    assert expressions.split_fixed(tree)[0].startswith(beginning)
