"""What stands around a candidate: the name it is assigned to, and whether that name is a secret's."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from service.judge import linear

_ASSIGNED: Final = linear.compiled(
    rb"([\w.$\-]*[\w$])[\"'`\]\)\\]{0,4}"
    rb"(?:[ \t]{0,20}(?:=>|:=|[|!=]{0,2}={1,3}|:)[ \t\r\n]{0,8}|>[ \t\r\n]{0,8}|[ \t]{0,4}[,(][ \t]{0,4}|[ \t]{1,4})"
    rb"(?:[\\\"'`\[({>|<@bBrRuUfL \t-]|&quot;|Bearer |Basic |Token ){0,8}$"
)
_SECRETIVE: Final = re.compile(
    rb"key|token|secret|passw|passwd|pwd|passphrase|auth|cred|api|sign|priv|access|bearer|login|salt|hook|licen[sc]e|value|sas|cookie",
    re.IGNORECASE,
)
_IDENTIFYING: Final = re.compile(
    rb"(?:^|[^a-z])(?:trace|span|request|req|correlation|transaction|commit|sha\d*|md5|hash|digest|checksum|crc|etag|revision"
    rb"|rev|version|build|uuid|guid|uid|session|device|image|layer|blob|object|parent|tree|nonce|integrity|fingerprint|public)"
    rb"(?:[^a-z]|$)",
    re.IGNORECASE,
)
_APART: Final = re.compile(rb"[^a-z]+")
_CAMEL: Final = re.compile(rb"(?<=[a-z0-9])(?=[A-Z])")


class Name(NamedTuple):
    """The name that a value is assigned to. Both are False where none can be seen."""

    assigned: bool
    identifying: bool
    """The name says that the value is an identifier or a digest, and no word of it says secret."""


_NAME_BYTES: Final = 64
"""So much before a value is looked at for its name."""


def word_before(before: bytes) -> bytes:
    """The name that a value is assigned to; empty where none can be seen."""
    found = _ASSIGNED.search(before[-_NAME_BYTES:])
    return bytes(found.group(1)) if found else b""


def words_of(name: bytes) -> list[bytes]:
    """The words that a name is made of, in lower case: of ``dbPassword_file`` they are db, password and file."""
    return [word for word in _APART.split(_CAMEL.sub(b"_", name).lower()) if word]


def is_identifying(name: bytes) -> bool:
    """True if the name says that its value is an identifier or a digest, and no word of it says secret."""
    words = _CAMEL.sub(b"_", name)
    return bool(_IDENTIFYING.search(words)) and not _SECRETIVE.search(words)


def name_of(before: bytes) -> Name:
    """Reads the name off the bytes that stand before a value."""
    found = _ASSIGNED.search(before[-_NAME_BYTES:])
    return Name(False, False) if found is None else Name(True, is_identifying(found.group(1)))
