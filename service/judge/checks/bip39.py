"""Recovery phrases of wallets (BIP-39): 12 to 24 words of one list, the last of which holds a checksum of the others."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from mnemonic import Mnemonic

from service.records import CheckResult

NAME: Final = "bip39"
PROVES: Final = True
_LENGTHS: Final = (24, 21, 18, 15, 12)
_LEAST_DIFFERENT: Final = 5
"""Phrases of documentation repeat one word: ``abandon`` eleven times, ``zoo`` as often."""


@cache
def _language() -> Mnemonic:
    return Mnemonic("english")


@cache
def _words() -> frozenset[str]:
    return frozenset(_language().wordlist)


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the checksum of a phrase in it is right; placeholder if the words are not those of the list."""
    words = secret.decode("ascii", "replace").lower().split()
    phrases = [
        words[at : at + length]
        for length in _LENGTHS
        for at in range(len(words) - length + 1)
        if all(word in _words() for word in words[at : at + length])
    ]
    if not phrases:
        return CheckResult("placeholder", "words, but not those of the list of recovery phrases")
    for phrase in phrases:
        if _language().check(" ".join(phrase)):
            if len(set(phrase)) < _LEAST_DIFFERENT:
                return CheckResult("placeholder", "a phrase of the documentation")
            return CheckResult("passed", "BIP-39 holds", {"words": str(len(phrase))})
    return CheckResult("failed", "the words of the list, but their checksum is wrong")


def complete(secret: bytes) -> bytes:
    """A phrase whose checksum is right."""
    return _language().to_mnemonic(hashlib.sha256(secret).digest()[:16]).encode()
