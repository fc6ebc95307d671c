"""Values of no known format: what a person would take for a password or a key, and what only stands where one would.

Code assigns variables, calls, types and words to names such as ``password`` all day. The value itself has to look like
something that somebody made up or generated, and how much it has to depends on how sure its place is: a word between a user
name and a host is a weak password, a word behind ``password =`` may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from service.judge import entropy
from service.judge.placeholder import placeholder, sequential_share
from service.records import Candidate, Confidence, shannon

Verdict = tuple[Confidence, str] | str
"""A confidence and the clause that explains it, or the clause why it is no secret."""

_CODE: Final = re.compile(
    rb"^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*(?:[.(\[]|$)|\(|\[|->|::)|^(?:self|this|ctx|req|request|config|env|params|args|opts"
    rb"|options|props|data|os|process|secrets|vault|vars?)[.\[]|[(){}]|\[[\w\"']|^\w+::|=>|^https?:|^/[\w./-]*$|^\.{1,2}/"
    rb"|\.(?:py|js|tsx?|json|ya?ml|txt|pem|key|html?|php|java|go|rb|md|xml|sh|css|png|svg|conf|cfg|ini|toml|lock|crt|log)$"
)
_RANDOM_PART: Final = re.compile(
    rb"(?<![A-Za-z0-9])(?=[A-Za-z]{0,12}[0-9])(?=[A-Za-z0-9]{0,20}[A-Z])(?=[A-Za-z0-9]{0,20}[a-z])[A-Za-z0-9]{20}"
)
_WORDS: Final = re.compile(
    rb"^[A-Za-z]+$|^[a-z]+(?:[_\-. :]+[a-z]+)*[_\-.:]?$|^[A-Z]+(?:[_\-. ]+[A-Z]+)*$|^[a-z]+(?:[A-Z][a-z]+)+$|^(?:[A-Z][a-z]+)+$"
    rb"|^[A-Za-z]+(?:[_\-.][A-Za-z]+)+$"
)
_LANGUAGE: Final = frozenset(
    b"none null nil true false undefined string str int integer bool boolean bytes char object any void required optional"
    b" default empty unknown username user prompt file env stdin input text hidden return function const".split()
)
_WEAK: Final = frozenset(
    b"password passwd pass secret token key admin root test guest letmein welcome qwerty login changeit postgres mysql"
    b" redis mongo rabbitmq user".split()
)
_DIGEST: Final = re.compile(rb"^(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|sha\d+[-:].*)$")
_UUID: Final = re.compile(rb"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_VERSION: Final = re.compile(rb"^v?\d+(?:\.\d+)+(?![\w@#])|^\d{4}-\d\d-\d\d|^\d{1,6}$")
_WORDS_FOR_ONE: Final = frozenset(b"password passwd pass pwd secret username".split())
_SCHEME_AND_USER: Final = re.compile(rb"([A-Za-z][\w+.-]*)://(?:\1:\1$|(\w+):\2$)|([A-Za-z]\w*)://\w+:\3$")
"""``mysql://root:mysql``, ``://app:app``: the password is the scheme's or the user's name."""
_STRONG_NAME: Final = re.compile(
    rb"passw|passwd|pwd|passphrase|secret|private|api[_\-. ]?key|apikey|auth[_\-. ]?token|access[_\-. ]?(?:key|token)",
    re.IGNORECASE,
)
_LOCAL_HOST: Final = re.compile(
    rb"^@(?:localhost|127\.|0\.0\.0\.0|\[::1|(?:[\w-]+\.)?example\.(?:com|org|net)\b|host\b|hostname\b)", re.IGNORECASE
)


def weigh(candidate: Candidate, body: bytes, checks: Mapping[str, str]) -> Verdict:
    """Weighs a value that people made up, or that stands where they put one.

    Args:
        candidate: what was found.
        body: its variable part.
        checks: the outcome of the detector's checks.
    """
    detector = candidate.detector
    if detector.checks:
        return _proved(detector.severity.rank >= 3, checks)
    clause = placeholder(body)
    if clause is not None:
        return clause
    if detector.id.startswith(("generic-secret", "http-bearer")):
        return _key(candidate, body)
    if candidate.after.startswith(b"@"):
        return _in_url(candidate, body)
    return _password(candidate, body)


def _proved(severe: bool, checks: Mapping[str, str]) -> Verdict:
    if "failed" in checks.values():
        return Confidence.low, "its format contradicts itself"
    if "passed" in checks.values():
        return (Confidence.high if severe else Confidence.medium), "a format that proves itself"
    return (Confidence.medium if severe else Confidence.low), "a format of its own"


def _in_url(candidate: Candidate, body: bytes) -> Verdict:
    """Between a user name and a host stands nothing but a password; the question is whose."""
    if body.startswith(b"$") or b"(" in body or b"{" in body:
        return "code rather than a value"
    if body.lower() in _WORDS_FOR_ONE or _SCHEME_AND_USER.search(candidate.before + body):
        return "a word that stands for a password"
    if body.lower() in _WEAK or _LOCAL_HOST.match(candidate.after):
        return Confidence.low, "a password in a URL, but a well-known word or a host of examples"
    return Confidence.medium if _WORDS.match(body) and len(body) < 12 else Confidence.high, "a password in a URL"


def _password(candidate: Candidate, body: bytes) -> Verdict:
    lower = body.lower()
    if lower in _LANGUAGE or lower in _WEAK:
        return "a word that stands for a password"
    if _CODE.search(body) or body.startswith((b"$", b"%", b"--", b"@", b"&", b"*")) or candidate.after.startswith(b"("):
        return "code rather than a value"
    if len(set(body)) < 3:
        return "hardly any different characters"
    if _VERSION.match(body) and candidate.detector.id == "generic-password-unquoted":
        return "a number"
    if _WORDS.match(body) or sequential_share(body) > 0.6 or len(body) < 8 or len(set(body)) < 6:
        return Confidence.low, "assigned to the name of a password, but weak or mere words"
    if candidate.detector.severity.rank <= 1:
        return Confidence.low, "a password that a sentence tells"
    return Confidence.medium, "assigned to the name of a password"


_ASSIGNED: Final = re.compile(
    rb"(?:secret|token|api[_. -]?key|access[_.-]?key|auth[_.-]?key|private[_.-]?key|client[_.-]?key|(?:en|de)cryption[_.-]?key"
    rb"|signing[_.-]?key|account[_.-]?key|shared[_.-]?key|license[_.-]?key|credential|bearer|salt|[_-]pat)[A-Za-z0-9_]{0,16}"
    # name = value
    rb"(?:[\"'\])\\]{0,4}[ \t]{0,20}(?:(?:=>|:=|[!=]?==?|>)[\s\\]{0,20}|:(?=[\s\\\"'`])[\s\\]{0,20})[@bru]?[\"'`\\(\[]{0,4}"
    # call('name', 'value')
    rb"|[\"'][ \t]{0,20},[ \t]{0,20}[\"'`]{1,2}"
    # name: …, value: …
    rb"|[\"']?[,\s]{1,24}[\"']?(?:string)?value[\"']?[ \t]{0,4}[:=][\s{]{0,8}(?:[\"']stringValue[\"']:[ \t]{0,4})?[\"']?"
    # --name value
    rb"|[ \t=]{1,4}[\"']?)$",
    re.IGNORECASE,
)
_NAME_BYTES: Final = 72
_CURSOR: Final = re.compile(
    rb"(?:next|page|prev|previous|start|starting|continuation|change|lock|sync|idempotency|export|import)"
    rb"[_-]?(?:page)?[_-]?token[\"']?[^A-Za-z0-9]{1,12}$",
    re.IGNORECASE,
)
_LISTED: Final = re.compile(rb"[\"'][ \t]{0,20},[ \t]{0,20}[\"'`]{1,2}$")
_OPERATOR: Final = re.compile(rb"[:=>][ \t]*$")
_OPTION: Final = re.compile(rb"(?:^|\s)-{1,2}[A-Za-z][\w-]*[ =]{1,4}[\"']?$")


def _is_assigned(before: bytes) -> bool:
    """True if a value behind these bytes is assigned to a name that says secret, and not only listed after one."""
    if not _ASSIGNED.search(before):
        return False
    if _LISTED.search(before):  # in a call, not in a list of words
        return before.rfind(b"(") > max(before.rfind(b"["), before.rfind(b"\n"))
    return before[-1:] not in (b" ", b"\t") or bool(_OPTION.search(before) or _OPERATOR.search(before))


def _key(candidate: Candidate, body: bytes) -> Verdict:
    if candidate.detector.id == "generic-secret":
        before = candidate.before[-_NAME_BYTES:]
        if not _is_assigned(before):
            return "not assigned to a name that says secret"
        if _CURSOR.search(before):
            return "a cursor or an idempotency token"
    if body.lower() in _LANGUAGE or body.lower() in _WEAK:
        return "a word of the language"
    if (_CODE.search(body) and not _RANDOM_PART.search(body)) or _VERSION.match(body) or candidate.after.startswith(b"("):
        return "code rather than a value"
    if _WORDS.match(body):
        return "words, not a key"
    if sequential_share(body) > 0.6:
        return "it walks along the alphabet or a keyboard"
    if not entropy.looks_random(body) or not any(48 <= byte <= 57 for byte in body):
        return "not random enough for a key"
    name = candidate.before[-64:]
    if _UUID.match(body) or _DIGEST.match(body) or len(body) < 16:
        if _STRONG_NAME.search(name) and len(body) >= 16 and not _DIGEST.match(body):
            return Confidence.low, "a random value assigned to the name of a key"
        strong = _STRONG_NAME.search(name) and _DIGEST.match(body)
        return (Confidence.medium if strong else Confidence.low), "it may be an identifier or a digest"
    return (Confidence.medium if shannon(body) >= 3.5 else Confidence.low), "a random value assigned to the name of a key"
