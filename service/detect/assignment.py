"""The one shape that all secrets without a format of their own share: a value assigned to a name that says secret.

Hundreds of types are a bare run of letters and digits, told apart only by a provider's name near by. An expression for each
of them, keyword, gap and run, makes the engine look for hundreds of words in every byte. But nearly always such a value
is *assigned*: ``ACME_TOKEN=…``, ``"apiKey": "…"``, ``--api-key …``, ``- name: ACME_SECRET`` and ``value: …`` below it. So
a handful of expressions for the assignment stand in the database for all of these types, however many they are, and only where
one hits are the providers' names looked for.

:data:`WIRE` are these expressions for raw bytes, looser than :func:`values`, which says of decoded text exactly where assigned
values begin.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from service.detect import expressions

_OF_KEYS: Final = ("access", "account", "private", "license", "shared", "app", "api")
_NAMES: Final = (
    f"(?i:{'|'.join(f'{what}key' for what in _OF_KEYS if what != 'license')})",
    f"(?i:{'|'.join(f'{what} key' for what in _OF_KEYS)})|LICENSE_KEY",
    "(?i:[\"']key[\"'])",
    "[a-z]Keys?",
    *(f"(?i:(?:[^e]|[^s]e){joiner}keys?)" for joiner in ("_", "-", r"\.")),
    "(?i:secrets?|passw(?:or)?ds?|passw|pwd|oauth|authorization|authkey|credentials?)",
    "(?i:_auth)",
    "(?i:-auth)",
    "(?i:tokens?)",
    "(?i:_pat)",
    "(?i:-pat)",
)
"""What says secret: so few together that the engine looks for each as the fixed word that it is.

It looks for what those in one expression share, and follows up each place where that stands: of ``[_-]auth`` for ``auth``, of
``access ?key|api ?key`` for ``key``.
"""

_BARE: Final = r"[\s(,&?]key(?: ?=|: |\x5c|%)|\skey[\"']"
_OPTIONS: Final = (
    *(f"{joiner}(?i:(?:auth)?token|secret|password|passwd|api-?key|key|auth|pat)\\s" for joiner in "_-"),
    r"(?:[a-z](?:Token|Secret|Password|Key)|\s(?:TOKEN|SECRET)|\s(?i:password|authtoken))\s",
)
"""What has its value only a blank behind it: an option, a variable of a Dockerfile."""

# `key` goes on with no letter: keywords, keyboards and key ids are no secrets; nor are tokenizers, secretaries. In lower case
# `license_key` names a licence more often than a secret, and `database_key` a column: their values must be a plain run
_ON: Final = "(?:[_.0-9-]|(?i:value|string|str|text|data|base|prod|dev|test|live|secret|key))[A-Za-z0-9_.-]"
_DOUBTFUL: Final = "(?i:se[_.-]key)"
_SCHEMES: Final = "(?i:token|api-?token|api-?key|key|ssws)[ =:]"
_WORDS: Final = "(?i:value|stringvalue|default|bearer|basic|string)"
_BODY: Final = r"A-Za-z0-9_+/=.~\-"
_HEAD: Final = r"A-Za-z_+/=.~\-"
# Between name and value: no letters or digits but those of escapes (\n, \u003d, %3D), single ones, which in protobuf are
# lengths, and words such as `value` and `Bearer`. It begins within three blanks: prose, where words follow names, ends there.
# The value: what can be random. A digit early and much behind it; or late, behind a letter, and less behind it, since the
# engine cannot count both together and words that are joined to a number (`sdk-2012`) are none.
# Escapes have no bounds: what is too far apart falls to `values`.
# What ends an expression or a statement ends the assignment: `)`, `}` and `;` stand in it only as lengths, before a value.
_GAP: Final = "[^A-Za-z0-9)};]"
_JOINED: Final = r"(?:\s{0,3}[^A-Za-z0-9)};\s]|\s+(?i:value)[\"']?\s?[:=])"
_BETWEEN: Final = rf"(?:(?:[A-Za-z0-9]|[uU]00[0-9a-fA-F]{{2}}|%[0-9a-fA-F]{{2}}|{_WORDS}){_GAP}+)*(?:[)}};]?\n)?[)}};]?"
_VALUE: Final = (
    rf"(?:(?:[{_HEAD}]{{0,8}}|[{_HEAD}]{{0,8}}[%\\][{_BODY}%\\]*)[0-9][{_BODY}%\\]{{11}}"
    rf"|[{_HEAD}%\\]{{4,8}}[A-Za-z][0-9][{_BODY}%\\]{{7}}|[{_HEAD}%\\]{{8}}[{_HEAD}%\\]*[A-Za-z][0-9][{_BODY}%\\]{{2}})"
)
_PLAIN_VALUE: Final = "[A-Za-z]{0,8}[0-9][A-Za-z0-9]{15}"

WIRE: Final = (
    *(f"(?:{names}){_JOINED}{_GAP}*{_BETWEEN}{_VALUE}" for names in _NAMES),
    *(f"(?:{names}){_ON}*{_JOINED}{_GAP}*{_BETWEEN}{_VALUE}" for names in _NAMES),
    f"(?:{_BARE}){_GAP}*{_BETWEEN}{_VALUE}",
    *(f"{option}{_BETWEEN}{_VALUE}" for option in _OPTIONS),
    f"(?i:authorization){_JOINED}{_GAP}*{_SCHEMES}{_GAP}*{_VALUE}",
    f"{_DOUBTFUL}{_JOINED}{_GAP}*{_BETWEEN}{_PLAIN_VALUE}",
)
"""The assignment as the engine looks for it on the wire; each expression ends inside the value.

Names that go on (``token_2``, ``secretValue``) stand by themselves: most of what goes on is another word, and following up
each costs more than the names themselves.
"""

REACH: Final = 240
"""From where a keyword may begin to where a hit in the value ends: at most about so much in decoded text."""

KEYWORD_BEFORE: Final = 100
KEYWORD_AFTER: Final = 80
"""A keyword ends at most so far before the secret, or begins at most so far behind it (``curl -H … https://api.acme…``)."""

LONGEST_SEEN: Final = 512
"""So much of a value is looked at to find what stands behind it."""

MOST_BEFORE: Final = 48
"""So many characters of a value may stand before its first digit, or before the secret."""

# `=` only pads a value at its end: inside, it would join a name to what is assigned to it
_EXACT: Final = expressions.Linear(
    rf"(?:(?:(?:{'|'.join(_NAMES)})(?:{_ON}{{0,24}})?{_JOINED}{_GAP}{{0,23}}(?:{_WORDS}{_GAP}{{1,12}}|{_SCHEMES}{_GAP}{{0,12}})?"
    rf"|(?:{_BARE}){_GAP}{{0,23}}(?:{_WORDS}{_GAP}{{1,12}})?|{'|'.join(_OPTIONS)})"
    r"(?:[A-Za-z_+/.~-]{0,8}[0-9][A-Za-z0-9_+/.~-]{10}[A-Za-z0-9_+/.~=-]"
    r"|[A-Za-z_+/.~-]{4,8}[A-Za-z][0-9][A-Za-z0-9_+/.~-]{6}[A-Za-z0-9_+/.~=-]"
    r"|[A-Za-z_+/.~-]{8,47}[A-Za-z][0-9][A-Za-z0-9_+/.~=-]{2})"
    rf"|{_DOUBTFUL}{_JOINED}{_GAP}{{0,23}}{_PLAIN_VALUE})[A-Za-z0-9_+/.~-]*=*"
)
_BODY_BYTES: Final = bytes(byte for byte in range(128) if chr(byte).isalnum() or chr(byte) in "_+/.~-")


def values(window: bytes) -> Iterator[tuple[int, int]]:
    """Where the assigned values of a decoded text begin and end, left to right.

    A value is what stands behind the last character that cannot be part of one: a group in the expression would say the
    same, and cost ten times as much.
    """
    at = 0
    while (found := _EXACT.search(window, at)) is not None:
        start, end = found[0]
        yield start + len(window[start:end].rstrip(b"=").rstrip(_BODY_BYTES)), end
        at = end
