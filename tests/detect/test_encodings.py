"""The images of a beginning: what stands for it in each encoding, either case of it where there are two."""

import base64
import re

import pytest

from service.detect import encodings, expressions

PATH = expressions.paths(expressions.parse("acme_live_[a-f0-9]{24}"))[0]
SECRET = b"acme_live_0123456789abcdef01234567"


def found(kind: str, text: bytes) -> bool:
    return any(re.search(i.expression.encode(), text, re.DOTALL) for i in encodings.images(PATH) if i.kind == kind)


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc"])
def test_base64_is_found_at_each_alignment(before: bytes) -> None:
    assert found("base64", base64.b64encode(before + SECRET))


def test_hexadecimal_is_found_in_either_case() -> None:
    assert found("hex", SECRET.hex().encode())
    assert found("hex", SECRET.hex().upper().encode())


def test_utf_16_is_found_in_either_order() -> None:
    assert found("utf-16", SECRET.decode().encode("utf-16-le"))
    assert found("utf-16", SECRET.decode().encode("utf-16-be"))


def test_words_of_any_case_are_looked_for_in_small_letters() -> None:
    (path,) = expressions.paths(expressions.parse("(?i:acme)://[a-z]{12}"))
    (image,) = {i.expression for i in encodings.images(path) if i.kind == "hex" and not re.search("[A-F]", i.expression)}
    assert image.startswith(b"acme://".hex())


def test_what_says_too_little_has_no_image() -> None:
    (path,) = expressions.paths(expressions.parse("ab[a-z]{30}"))
    assert not list(encodings.images(path))
