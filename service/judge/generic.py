"""Values of no known format: what a person would take for a password or a key, and what only stands where one would.

Code assigns variables, calls, types and words to names such as ``password`` all day. The value itself has to look like
something that somebody made up or generated, and how much it has to depends on how sure its place is.
"""

from __future__ import annotations

import re
from typing import Final

from service.judge import entropy
from service.judge.placeholder import placeholder, sequential_share
from service.records import Candidate, Confidence

_CODE: Final = re.compile(
    rb"^[A-Za-z_][\w]*(?:\.[A-Za-z_]\w*|\(|\[|->|::)|^(?:self|this|ctx|req|request|config|env|params|args|opts|options|props|data|os|process)\b"
    rb"|[(){}\[\];]|^\w+::|=>|^https?:|^/[\w./-]*$|^\.{1,2}/|^\w+\.(?:py|js|ts|json|ya?ml|txt|pem|key|html|php|java|go|rb|md|xml|sh)$"
)
_WORDLIKE: Final = re.compile(rb"^[A-Za-z]+$|^[a-z]+(?:[_\-. ][a-z]+)*$|^[A-Z]+(?:[_\-. ][A-Z]+)*$|^[a-z]+(?:[A-Z][a-z]+)+$|^(?:[A-Z][a-z]+)+$")
_LITERALS: Final = frozenset(
    b"none null nil true false undefined string str int integer bool boolean bytes char object any void required optional"
    b" default empty unknown password passwd secret token key username user root admin test prompt file env stdin".split()
)
_DIGEST: Final = re.compile(rb"^(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})$")
_UUID: Final = re.compile(rb"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_VERSION: Final = re.compile(rb"^v?\d+(?:\.\d+)+|^\d{4}-\d\d-\d\d")
_STRONG_NAME: Final = re.compile(rb"passw|passwd|pwd|passphrase|secret|private|api[_\-. ]?key|auth[_\-. ]?token|access[_\-. ]?(?:key|token)", re.I)


def weigh(candidate: Candidate, body: bytes) -> tuple[Confidence, str] | str:
    """The confidence and the clause that explains it, or why it is no secret."""
    checks = candidate.detector.checks
    if checks:  # a format that proves itself, such as a private key or a password hash
        return Confidence.high if candidate.detector.severity.rank >= 3 else Confidence.medium, "a format of its own"
    clause = placeholder(body)
    if clause is not None:
        return clause
    if body.lower() in _LITERALS:
        return "a word of the language"
    if candidate.detector.id == "generic-url-password":
        return Confidence.medium, "a password inside a URL"
    if _CODE.search(body):
        return "code rather than a value"
    if _VERSION.search(body) or _UUID.match(body):
        return "a version, a date or an identifier"
    if sequential_share(body) > 0.6:
        return "it walks along the alphabet or a keyboard"
    if candidate.detector.id == "generic-password":
        if _WORDLIKE.match(body):
            return "words, not a password"
        strong = len(body) >= 8 and len(set(body)) >= 6
        return (Confidence.medium if strong else Confidence.low), "assigned to the name of a password"
    if _WORDLIKE.match(body):
        return "words, not a key"
    if not entropy.looks_random(body) or len(body) < 12:
        return "not random enough for a key"
    if not any(48 <= byte <= 57 for byte in body):
        return "no digit in it"
    if _DIGEST.match(body) and not _STRONG_NAME.search(candidate.before[-64:]):
        return Confidence.low, "it may be a digest"
    return (Confidence.medium if entropy.shannon(body) >= 3.5 else Confidence.low), "a random value assigned to the name of a key"
