"""What the place of a secret says of it: the file it is in, the line it stands on, data that only looks random."""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from typing import Final

from service.records import Span


class Kind(enum.StrEnum):
    """Files in which what looks like a secret is less likely one that matters; the value is the clause that says so."""

    generated = "in a lock file or in minified or packed code"
    vendored = "in a folder of code that others wrote"
    tests = "in a folder or a file of tests"
    documentation = "in documentation or an example"


_GENERATED: Final = re.compile(
    r"(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lockb?|composer\.lock|Gemfile\.lock"
    r"|Pipfile\.lock|poetry\.lock|uv\.lock|pdm\.lock|Cargo\.lock|go\.sum|go\.work\.sum|mix\.lock|flake\.lock|packages\.lock\.json"
    r"|gradle\.lockfile|Podfile\.lock|pubspec\.lock|deno\.lock|conan\.lock|\.terraform\.lock\.hcl|Package\.resolved"
    r"|gradle/verification-metadata\.xml|\.secrets\.baseline|constraints\.txt)$"
    r"|\.min\.(?:js|css|mjs)$|[.-]bundle\.js$|\.(?:map|svg|ipynb_checkpoints|woff2?|pbxproj|snap)$|(?:^|/)(?:dist|build)/.*\.(?:js|css)$",
    re.IGNORECASE,
)
_VENDORED: Final = re.compile(
    r"(?:^|/)(?:node_modules|bower_components|vendor|vendored|third[_-]?party|site-packages|dist-packages|Pods|\.venv|venv"
    r"|external|jspm_packages|\.bundle|\.gradle|\.m2|_vendor)/",
    re.IGNORECASE,
)
_TESTS: Final = re.compile(
    r"(?:^|/)(?:tests?|testing|testdata|test[_-](?:data|fixtures|resources)|fixtures?|__tests__|__mocks__|__fixtures__|mocks?|specs?"
    r"|e2e|idlelib/idle_test)/|(?:^|/)test_[^/]*\.\w+$|[._-](?:test|tests|spec|mock|fixture)\.\w+$|(?:^|/)[A-Z]\w*Tests?\.\w+$",
)
_DOCUMENTATION: Final = re.compile(
    r"(?:^|/)(?:docs?|documentation|examples?|samples?|tutorials?|demos?|man)/|\.(?:md|mdx|rst|adoc|asciidoc|textile|pod|[1-8])$"
    r"|(?:^|/)(?:README|CHANGELOG|CONTRIBUTING)[^/]*$|[._-](?:example|sample|template|tmpl|dist|default)s?(?:\.\w{1,6})?$"
    r"|(?:^|/)(?:example|sample)[._-]",
    re.IGNORECASE,
)


@lru_cache(4096)
def kind_of(path: str | None) -> Kind | None:
    """What kind of file a path names, as far as it counts; None for all others."""
    if not path:
        return None
    path = path.replace("\\", "/")[-1024:]
    for expression, kind in (
        (_GENERATED, Kind.generated),
        (_VENDORED, Kind.vendored),
        (_TESTS, Kind.tests),
        (_DOCUMENTATION, Kind.documentation),
    ):
        if expression.search(path):
            return kind
    return None


_SHOWING: Final = re.compile(
    rb"(?<![A-Za-z.@/-])(?:examples?(?![.A-Za-z])|e\.g\.|for instance|sample|dummy|fake|mock(?:ed)?|placeholder|lorem|fictional"
    rb"|made[ -]up|not a real)(?![A-Za-z])",
    re.IGNORECASE,
)
_COMMENT: Final = re.compile(rb"^[ \t]*(?:#|//|/\*|\*[ \t]|--[ \t]|;|<!--|%[ \t]|REM )", re.IGNORECASE)
_LINE_BYTES: Final = 512
_DATA_URI: Final = b";base64,"
_DATA_BYTES: Final = 256 * 1024
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-%\\\r\n \t"
_BASE64_IN_LINE: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_BASE64_URL: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_DIGITS: Final = b"0123456789"
_ENCODED_LINE: Final = 48
_SHORT_RUN: Final = 8
_PACKED_BYTES: Final = 1000


def is_showing(text: bytes, place: Span) -> bool:
    """True if a word on the same line, outside the secret, says that it is only shown."""
    start = max(text.rfind(b"\n", 0, place.start) + 1, place.start - _LINE_BYTES)
    end = text.find(b"\n", place.end, place.end + _LINE_BYTES)
    end = min(len(text), place.end + _LINE_BYTES) if end < 0 else end
    return bool(_SHOWING.search(text[start : place.start]) or _SHOWING.search(text[place.end : end]))


def in_comment(text: bytes, place: Span) -> bool:
    """True if the line begins as a comment."""
    start = text.rfind(b"\n", max(0, place.start - _LINE_BYTES), place.start) + 1
    return bool(_COMMENT.match(text[start : place.start]))


def in_encoded_lines(text: bytes, place: Span) -> bool:
    """True if it is a small part of a line that is all base64, below or above another such line, or any part of one between
    two of its length.
    """
    start = text.rfind(b"\n", max(0, place.start - _LINE_BYTES), place.start) + 1
    end = text.find(b"\n", place.end, place.end + _LINE_BYTES)
    if end < 0 or (start == 0 and place.start > _LINE_BYTES) or end - start < _ENCODED_LINE:
        return False
    line = text[start:end]
    if line.strip(_BASE64_IN_LINE):
        return False
    above = text[text.rfind(b"\n", max(0, start - 1 - _LINE_BYTES), max(0, start - 1)) + 1 : max(0, start - 1)]
    below = text[end + 1 : max(end + 1, text.find(b"\n", end + 1, end + 1 + _LINE_BYTES))]
    encoded = [other for other in (above, below) if len(other) >= _ENCODED_LINE and not other.strip(_BASE64_IN_LINE)]
    if len(line) < len(place) + _SHORT_RUN:
        return [len(other) for other in encoded] == [len(line)] * 2
    return bool(encoded)


def in_encoded_run(before: bytes, after: bytes) -> bool:
    """True if it is glued to more base64 on its left or right: ``+`` joins nothing else."""
    run = before[len(before.rstrip(_BASE64_IN_LINE)) :] + after[: len(after) - len(after.lstrip(_BASE64_IN_LINE))]
    return b"+" in run and len(run) >= _SHORT_RUN


def is_glued_to_random(before: bytes) -> bool:
    """True if a hyphen or ``_`` joins it to what looks random: short prefixes come up by chance in base64url."""
    run = before[len(before.rstrip(_BASE64_URL)) :]
    if len(run) < _SHORT_RUN or run[-1:] not in (b"-", b"_"):
        return False
    return run.lower() != run != run.upper() and any(digit in run for digit in _DIGITS)


def in_data(text: bytes, place: Span) -> bool:
    """True if it is a part of embedded data: an image or a font behind ``data:…;base64,``."""
    near = text[max(0, place.start - len(_DATA_URI)) : place.start]
    if near != _DATA_URI and near.rpartition(b",")[2].strip(_BASE64):  # nearly always
        return False
    begin = max(0, place.start - _DATA_BYTES)
    at = text.rfind(_DATA_URI, begin, place.start)
    return (
        at >= 0
        and text.rfind(b"data:", max(0, at - 80), at) >= 0
        and not text[at + len(_DATA_URI) : place.start].strip(_BASE64)
    )


def in_packed_code(text: bytes, place: Span) -> bool:
    """True if the line is one that a minifier made: long, full of punctuation, nearly without blanks."""
    start = max(text.rfind(b"\n", 0, place.start) + 1, place.start - _PACKED_BYTES)
    end = text.find(b"\n", place.end, place.end + _PACKED_BYTES)
    line = text[start : place.start + _PACKED_BYTES if end < 0 else end]
    if len(line) < _PACKED_BYTES:
        return False
    marks = len(line) - len(line.translate(None, b"(){};,=&|?"))
    return marks > 0.08 * len(line) and line.count(b" ") < 0.05 * len(line) and b"(" in line
