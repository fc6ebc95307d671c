"""What the place of a secret says of it."""

import base64
import random

import pytest

from service.judge import surroundings
from service.judge.surroundings import Kind
from service.records import Span


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("package-lock.json", Kind.generated),
        ("web/yarn.lock", Kind.generated),
        ("go.sum", Kind.generated),
        ("static/app.min.js", Kind.generated),
        ("static/app.js.map", Kind.generated),
        ("node_modules/a/index.js", Kind.vendored),
        ("vendor/github.com/a/b.go", Kind.vendored),
        ("tests/test_login.py", Kind.tests),
        ("src/test/java/LoginTest.java", Kind.tests),
        ("pkg/login_test.go", Kind.tests),
        ("web/login.spec.ts", Kind.tests),
        ("internal/testdata/key.pem", Kind.tests),
        ("docs/setup.txt", Kind.documentation),
        ("README.md", Kind.documentation),
        (".env.example", Kind.documentation),
        ("config/settings.sample.yml", Kind.documentation),
        ("src\\tests\\a.py", Kind.tests),
    ],
)
def test_kinds_of_files(path: str, kind: Kind) -> None:
    assert surroundings.kind_of(path) is kind


@pytest.mark.parametrize(
    "path", [None, "", "src/settings.py", ".env", "src/contest.py", "latest/app.js", "vendors.json", "lock"]
)
def test_other_files_are_of_no_kind(path: str | None) -> None:
    assert surroundings.kind_of(path) is None


def place(text: bytes, of: bytes) -> Span:
    start = text.index(of)
    return Span(start, start + len(of))


@pytest.mark.parametrize("line", [b"example: token=ABC", b"token=ABC  # a dummy", b"e.g. token=ABC", b"(fake) token=ABC"])
def test_a_word_on_the_line_says_that_it_is_shown(line: bytes) -> None:
    assert surroundings.is_showing(b"x\n" + line + b"\ny", place(b"x\n" + line, b"ABC"))


@pytest.mark.parametrize(
    "text", [b"https://a.example.com/ token=ABC", b"an example:\n\ntoken=ABC\nexample", b"user@example.org ABC", b"sampler=ABC"]
)
def test_hosts_and_other_lines_do_not(text: bytes) -> None:
    assert not surroundings.is_showing(text, place(text, b"ABC"))


def test_embedded_data_is_seen_and_what_stands_beside_it_is_not() -> None:
    data = base64.b64encode(random.Random(1).randbytes(3000))
    text = b"src='data:image/png;base64," + data + b"' token='ABCDEF'"

    assert surroundings.in_data(text, place(text, data[2000:2040]))
    assert surroundings.in_data(text, place(text, data[:40]))
    assert not surroundings.in_data(text, place(text, b"ABCDEF"))
    assert not surroundings.in_data(b"x" + data, Span(100, 140))


def test_packed_code_is_seen_by_its_lines() -> None:
    packed = b"!function(e,t){var n=e.a,r=t(n);return r&&n(t,{b:1,c:r})}(this,f);" * 60
    prose = b"A long line of words that goes on and on, as text in a book does. " * 60

    assert surroundings.in_packed_code(packed, Span(1500, 1520))
    assert not surroundings.in_packed_code(prose, Span(1500, 1520))
    assert not surroundings.in_packed_code(packed[:600], Span(100, 120))


def test_what_stands_inside_lines_of_base64_is_a_part_of_the_data_and_a_line_of_its_own_is_not() -> None:
    lines = base64.encodebytes(random.Random(2).randbytes(400)).splitlines()
    text = b"\n".join(lines) + b"\n"
    inside = text.index(lines[2]) + 10
    token = b"X" * 76

    assert surroundings.in_encoded_lines(text, Span(inside, inside + 30))
    assert not surroundings.in_encoded_lines(b"\n".join((token, token, b"")), Span(0, 76))
    assert not surroundings.in_encoded_lines(b"a short line\n" + text[:10] + b"\n", Span(14, 20))


def test_nearly_all_of_a_line_is_data_too_where_lines_of_its_length_stand_above_and_below() -> None:
    data = base64.b64encode(random.Random(5).randbytes(171)).decode()
    lines = [data[at : at + 76] for at in range(0, 228, 76)]
    text = "\n".join(["", *lines, ""]).encode()
    secret = lines[1][5:].encode()

    assert surroundings.in_encoded_lines(text, place(text, secret))
    assert not surroundings.in_encoded_lines(text.replace(lines[2].encode(), b"end"), place(text, secret))


@pytest.mark.parametrize(
    ("before", "after", "inside"),
    [
        (b"payload=jppWs2746l+", b"+S8ti5DmJ\n", True),
        (b"payload=jppWs27/46l", b"+S8ti5Dm", True),
        (b"https://host/path/", b"/more", False),
        (b'"a"+', b'+"b"', False),
        (b"token=", b"", False),
    ],
)
def test_a_part_of_a_longer_run_of_base64_is_told_by_what_it_is_glued_to(before: bytes, after: bytes, inside: bool) -> None:
    assert surroundings.in_encoded_run(before, after) is inside


@pytest.mark.parametrize(
    ("before", "glued"),
    [
        (b"session 9ILI9z9DTjY9AyPg-", True),
        (b"id=aB3dE6gH_", True),
        (b"session ", False),
        (b"staging-", False),
        (b"PROD2-", False),
        (b"deploy-key-2-", False),
    ],
)
def test_what_is_glued_to_a_random_run_is_told(before: bytes, glued: bool) -> None:
    assert surroundings.is_glued_to_random(before) is glued
