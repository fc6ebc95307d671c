"""Credentials that providers print in their documentation, and half the world copies: known by digest, and nobody's.

Only digests stand here, so that the file itself leaks nothing and sets off no scanner.
"""

from __future__ import annotations

import hashlib
from typing import Final

_DIGITS: Final = 20

_DIGESTS: Final = frozenset(
    """
    0011cc25eb4320717494 0b476bdf9acf2123d547 1a5d44a2dca19669d72e 2037abcaffb2b77785da 27a9a42931dff7eb2f84
    2cafc0970149a84f3b9e 37f8f09bdf12c2f2eae4 3a8b61d0f636b007840c 3f370c9dd8225c63b5c7 49f777db995e8260da7c
    4c98242dcadc8b29005c 78314b11be2e581549ac 8731261cb72d86267a32 900e6c2bf8ce6c14dbfd a19f89ab3555eac10c40
    a6c814bc555ae62c7bd8 aa6547439583c3a275d4 b1471f544ceeea31333b c4341ce2cfcb52091244 c6ea27c534f993d31f0a
    cb20d34a7adda2f5d204 dc0fcf046c61640cbd1e e21b597ba6b9cafa59d9 e4a5542bb7fd7b67e943 ea9bb1082cf95663f5fa
    eb540d2b6ee2a0a47c57 f2d6ca16515033e5dce1 f56e323494a6ffc2064e
    """.split()  # noqa: SIM905 - digests, five a line
)
"""The first :data:`_DIGITS` hexadecimal digits of SHA-256."""


_BEGINNINGS: Final = frozenset(
    """
    354f86b2e7346e78f44a e6158b6f8c69c9423067
    """.split()  # noqa: SIM905
)
"""The same of the first :data:`_BEGINNING` bytes, of those that are printed with varying ends."""
_BEGINNING: Final = 13


def is_documented(secret: bytes) -> bool:
    """True if the secret is one that documentation prints."""
    return _digest(secret) in _DIGESTS or _digest(secret[:_BEGINNING]) in _BEGINNINGS


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGITS]
