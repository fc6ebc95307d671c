"""Placeholders: what documentation and templates put where a secret would stand, and never a secret itself."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.judge.placeholder import placeholder, sequential_share

ALNUM = string.digits + string.ascii_letters


@pytest.mark.parametrize(
    "text",
    [
        "${TOKEN}",
        "$TOKEN",
        "{{ token }}",
        "{token}",
        "<token>",
        "%s",
        "%(token)s",
        "#{token}",
        "$(cat token)",
        "process.env.TOKEN",
        "os.environ['TOKEN']",
        "getenv('TOKEN')",
    ],
)
def test_template_slots(text: str) -> None:
    assert placeholder(text.encode()) == "a template slot"


@pytest.mark.parametrize(
    "text",
    [
        "xxxxxxxxxxxx",
        "XXXXXXXX",
        "************",
        "abc***def",
        "abcd....",
        "1234xxxx5678",
        "------------",
        "??????????",
        "Ab12...",
    ],
)
def test_masks(text: str) -> None:
    assert placeholder(text.encode()) is not None


@pytest.mark.parametrize(
    "word",
    [
        "example",
        "changeme",
        "change_me",
        "placeholder",
        "your_token_here",
        "your-api-key",
        "dummy",
        "redacted",
        "REPLACE_ME",
        "insert_key",
        "todo",
        "deadbeef",
        "my_secret",
    ],
)
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_words_of_documentation_in_any_case_and_anywhere(word: str, case: type[str]) -> None:
    assert placeholder(case(word).encode()) is not None
    assert placeholder(b"7Gh2_" + case(word).encode() + b"_9Kq4") is not None


@given(st.sampled_from(ALNUM), st.integers(8, 64))
def test_one_character_repeated(char: str, times: int) -> None:
    assert placeholder(char.encode() * times) is not None


@given(st.text(ALNUM, min_size=2, max_size=2), st.integers(8, 64), st.randoms())
def test_two_characters_in_any_order(pair: str, length: int, rng: random.Random) -> None:
    assert placeholder("".join(rng.choice(pair) for _ in range(length)).encode()) is not None


@pytest.mark.parametrize("length", [16, 24, 32, 40, 64])
def test_random_secrets_are_none(length: int) -> None:
    rng = random.Random(length)
    drawn = ["".join(rng.choice(ALNUM) for _ in range(length)).encode() for _ in range(3000)]

    assert sum(placeholder(secret) is not None for secret in drawn) <= 3


@pytest.mark.parametrize("secret", ["correct-horse-battery", "Tr0ub4dor&3", "p4$$w0rd-7Kq", "e5f6-77ab.c91d", "7Kq{2}x9Zm"])
def test_odd_looking_secrets_are_none(secret: str) -> None:
    assert placeholder(secret.encode()) is None


def test_generated_passwords_with_punctuation_are_none_nearly_always() -> None:
    printable = ALNUM + string.punctuation
    rng = random.Random(1)
    drawn = ["".join(rng.choice(printable) for _ in range(20)).encode() for _ in range(3000)]

    # one that begins with $ or @ cannot be told from a variable
    assert sum(placeholder(secret) is not None for secret in drawn) <= 0.03 * len(drawn)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise_and_the_clause_holds_none_of_them(data: bytes) -> None:
    clause = placeholder(data)

    assert clause is None or len(data) < 4 or data not in clause.encode()


@given(st.binary(max_size=200))
def test_the_share_of_sequences_lies_between_nothing_and_all(data: bytes) -> None:
    assert 0 <= sequential_share(data) <= 1


@pytest.mark.parametrize("walk", ["abcdefghijklmnop", "1234567890", "0987654321", "qwertyuiop", "zyxwvutsrq", "ABCDEFGH"])
def test_walks_along_alphabet_digits_and_keyboard_are_all_sequence(walk: str) -> None:
    assert sequential_share(walk.encode()) == 1


def test_a_walk_counts_by_its_share() -> None:
    assert sequential_share(b"abcdefgh" + b"7Gk2Xq9Z") == 0.5
    assert sequential_share(b"abcd7Gk2Xq9Z") == 0  # four steps are chance


@pytest.mark.parametrize("length", [20, 32, 40])
def test_random_secrets_hardly_walk(length: int) -> None:
    rng = random.Random(length)

    assert all(sequential_share("".join(rng.choice(ALNUM) for _ in range(length)).encode()) < 0.4 for _ in range(2000))
