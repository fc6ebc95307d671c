"""Entropy: between nothing and what the alphabet allows, and blind to order."""

import math
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.judge import entropy
from service.records import shannon

ALPHABETS = {
    10: string.digits,
    16: string.digits + "abcdef",
    36: string.digits + string.ascii_lowercase,
    62: string.digits + string.ascii_letters,
    72: string.digits + string.ascii_letters + "+/=_-",
}


@given(st.binary(max_size=400))
def test_it_lies_between_nothing_and_what_the_bytes_allow(data: bytes) -> None:
    assert 0 <= shannon(data) <= math.log2(max(1, len(set(data)))) + 1e-9


@given(st.data(), st.sampled_from(sorted(ALPHABETS)))
def test_it_never_passes_that_of_the_alphabet(data: st.DataObject, size: int) -> None:
    text = data.draw(st.text(ALPHABETS[size], min_size=1)).encode()

    assert shannon(text) <= math.log2(len(ALPHABETS[size])) + 1e-9


@given(st.binary(max_size=200), st.randoms())
def test_the_order_of_the_characters_does_not_matter(data: bytes, rng: random.Random) -> None:
    mixed = list(data)
    rng.shuffle(mixed)

    assert shannon(bytes(mixed)) == pytest.approx(shannon(data))
    assert entropy.alphabet(bytes(mixed)) == entropy.alphabet(data)


@given(st.binary(min_size=1, max_size=1), st.integers(1, 100))
def test_one_character_repeated_has_none(char: bytes, times: int) -> None:
    assert shannon(char * times) == 0


@given(st.sets(st.integers(0, 255), min_size=1), st.integers(1, 4))
def test_equal_shares_have_all_there_is(characters: set[int], times: int) -> None:
    assert shannon(bytes(characters) * times) == pytest.approx(math.log2(len(characters)))


@pytest.mark.parametrize("size", ALPHABETS)
def test_the_narrowest_alphabet_is_told(size: int) -> None:
    assert entropy.alphabet(ALPHABETS[size].encode()) == size


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_more_characters_never_narrow_the_alphabet(data: bytes, more: bytes) -> None:
    assert entropy.alphabet(data) <= entropy.alphabet(data + more)


@pytest.mark.parametrize("size", ALPHABETS)
@pytest.mark.parametrize("length", [16, 20, 32, 40, 64])
def test_random_strings_look_random_nearly_always(size: int, length: int) -> None:
    rng = random.Random(f"{size} {length}")
    drawn = ["".join(rng.choice(ALPHABETS[size]) for _ in range(length)).encode() for _ in range(2000)]

    assert sum(map(entropy.looks_random, drawn)) >= 0.99 * len(drawn)


@pytest.mark.parametrize("plain", [b"aaaaaaaaaaaaaaaa", b"abababababababab", b"0000000000000001", b"aaaa-aaaa-aaaa-aaab"])
def test_monotonous_strings_do_not(plain: bytes) -> None:
    assert not entropy.looks_random(plain)
