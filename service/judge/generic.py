"""Values of no known format: what a person would take for a password or a key, and what only stands where one would.

Code assigns variables, calls, types and words to names such as ``password`` all day. The value itself has to look like
something that somebody made up or generated, and how much it has to depends on how sure its place is: a word between a user
name and a host is a weak password, a word behind ``password =`` may be anything. Weak passwords, words and values of
documentation are findings of low confidence: they open doors too. Code and slots are none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from service.judge import context, entropy, linear
from service.judge.placeholder import SLOT_WORD, doubt, sequential_share, slot
from service.judge.reasons import Reason
from service.records import Candidate, Confidence, shannon

_OF_PASSWORD: Final = re.compile(rb"pass|pwd|pswd", re.IGNORECASE)
_KEYS: Final = ("generic-secret", "http-bearer", "generic-variable")
"""Detectors whose values are generated rather than chosen, by how their ids begin."""

Verdict = tuple[Confidence | Reason, str]
"""A confidence and the clause that explains it, or the reason why it is no secret."""

_REFERENCE: Final = re.compile(
    rb"^[A-Za-z_$][\w$]*(?:\??(?:\.|->|::)[A-Za-z_$][\w$]*)+[(\[;,)]?$|^[A-Za-z_]\w*(?:\(|\[[\"'\w]+\]|->)"
    rb"|^(?:self|this|ctx|req|request|config|cfg|env|params|args|opts|options|props|data|os|process|secrets|vault|vars?"
    rb"|local|module|each|inputs|github|matrix|steps|needs|System|Environment)(?:\.|\[|->|::)"
    rb"|^(?:new|await|async|function|lambda|return|typeof)\b|=>|^\w+::",
    re.IGNORECASE,
)
"""A name of code: dotted, called, indexed."""
_NAMED_ARGUMENT: Final = re.compile(rb"^[a-z_]+=[A-Za-z_]+$|^\w+\[:?\w*\]$")
_BRACKETS: Final = re.compile(rb"[(){}\[\]]|^\\?[&*<>|]|;.")
_PLACE: Final = re.compile(
    rb"^(?:https?|ftp|file|s3|gs|wss?|jdbc|ssh|git|arn|urn|data|projects?|vault|op|ssm|env|secretsmanager|ref|secretref)(?::|/)"
    rb"|^(?:~|\.{1,2})?/[\w./@-]*$|^[A-Za-z]:\\|^\.{1,2}/|^[\w-]+(?:/[\w.-]+){2,}$"
    rb"|\.(?:py|js|tsx?|json|ya?ml|txt|pem|key|html?|php|java|go|rb|md|xml|sh|css|png|svg|conf|cfg|ini|toml|lock|crt|log|com|org"
    rb"|net|io)/?$",
    re.IGNORECASE,
)
_RANDOM_PART: Final = re.compile(rb"[A-Za-z0-9]{16,}")
_WORDS: Final = re.compile(
    rb"^[A-Za-z]+$|^[a-z]+(?:[_\-. :/]+[a-z]+)*[_\-.:!?]?$|^[A-Z]+(?:[_\-. ]+[A-Z]+)*$|^[a-z]+(?:[A-Z][a-z]+)+$"
    rb"|^(?:[A-Z][a-z]+)+$|^[A-Za-z]+(?:[_\-.][A-Za-z]+)+$"
)
_IDENTIFIER: Final = re.compile(
    rb"^[_$]{0,2}[A-Za-z]+(?:[_\-.:][A-Za-z]+)+\d{0,3}$|^[_$]{0,2}[A-Za-z]?[a-z]+(?:[A-Z][a-z]+)+\d{0,5}$"
    rb"|^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$|^_[a-z]+$|^[a-z]+(?:_[a-z]+)+_[0-9a-z_]+$"
)
_LANGUAGE: Final = frozenset(
    b"none null nil true false undefined string str int integer bool boolean bytes char object any void required optional"
    b" default empty unknown username user prompt file env stdin input text hidden return function const number array"
    b" varchar nvarchar securestring type name value yes no on off disabled enabled self this public private static final"
    b" password_hash argon2 bcrypt scrypt sha256 sha512 md5 aes rsa ed25519 hs256 rs256 oauth oauth2 jwt basic bearer"
    b" header query cookie body json form uuid".split()
)
_WEAK: Final = frozenset(
    b"password passwd pass secret token key admin root test guest letmein welcome qwerty login changeit postgres mysql"
    b" redis mongo rabbitmq user".split()
)
_DIGEST: Final = re.compile(rb"^(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|sha\d+[-:].*)$")
_UUID: Final = re.compile(rb"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
_NUMBER: Final = re.compile(
    rb"^v?\d+(?:\.\d+)+(?![\w@#])|^\d{4}-\d\d-\d\d|^\d{1,6}$|^0x[0-9a-fA-F]{1,8}$|^\d+(?:ms|s|m|h|d|px|em|kb|mb)$",
    re.IGNORECASE,
)
_SCHEME_AND_USER: Final = re.compile(rb"([A-Za-z][\w+.-]*)://(?:\1:\1$|(\w+):\2$)|([A-Za-z]\w*)://\w+:\3$")
"""``mysql://root:mysql``, ``://app:app``: the password is the scheme's or the user's name."""
_STRONG_NAME: Final = re.compile(
    rb"passw|passwd|pwd|passphrase|secret|private|api[_\-. ]?key|apikey|auth[_\-. ]?token|(?:access|signing|encryption|client"
    rb"|account|shared)[_\-. ]?(?:key|token)",
    re.IGNORECASE,
)
_LOCAL_HOST: Final = re.compile(
    rb"^@(?:localhost|127\.|0\.0\.0\.0|\[::1|(?:[\w-]+\.)?example\.(?:com|org|net)\b|host\b|hostname\b)", re.IGNORECASE
)
_OTHER_THINGS: Final = frozenset(
    b"file filename path dir folder url uri endpoint field label hint help message msg error prompt title text description"
    b" desc type kind format encoding algorithm algo policy regex pattern column selector class button input id ids name names"
    b" env var header param parameter length len size min max count expiry expires expiration ttl timeout version provider"
    b" mode strategy reset validator schema model table view form status state age date time required enabled disabled verify"
    b" check checker manager store service factory handler callback lookup command cmd ref reference arn icon style color"
    b" visible rule rules requirement requirements".split()
)
"""The last word of a name that only speaks of a password or a key: ``password_field``, ``token_url``, ``secretName``."""


_WEAK_WORD: Final = "a word that stands for a password, or is one"
_OF_USER: Final = "the name of the user or the scheme, which many use for a password"
_WORD_FOR_ONE: Final = (_WEAK_WORD, _OF_USER)


def fits(candidate: Candidate) -> int:
    """How well a detector of assignments fits the name before the value: 2 for a password's, 1 for keys, 0 otherwise."""
    of_password = _OF_PASSWORD.search(candidate.before[-_NAME_BYTES:]) is not None
    return (
        2
        if of_password and candidate.detector.id.startswith("generic-password")
        else int(candidate.detector.id == "generic-secret")
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
    clause = slot(body)
    if clause is not None and not (
        clause == SLOT_WORD and body.isalnum() and _OF_PASSWORD.search(candidate.before[-_NAME_BYTES:])
    ):
        return Reason.placeholder, clause
    if detector.id.startswith(_KEYS) or (
        detector.id == "generic-password" and not _OF_PASSWORD.search(candidate.before[-_NAME_BYTES:])
    ):
        verdict = _key(candidate, body)
    elif candidate.after.startswith(b"@"):
        verdict = _in_url(candidate, body)
    else:
        verdict = _password(candidate, body)
    clause = clause or doubt(body)
    if clause is not None and isinstance(verdict[0], Confidence):
        verdict = Confidence.low, clause
    return verdict


def _proved(severe: bool, checks: Mapping[str, str]) -> Verdict:
    if "failed" in checks.values():
        return Confidence.low, "its format contradicts itself"
    if "passed" in checks.values():
        return (Confidence.high if severe else Confidence.medium), "a format that proves itself"
    return (Confidence.medium if severe else Confidence.low), "a format of its own"


def _in_url(candidate: Candidate, body: bytes) -> Verdict:
    """Between a user name and a host stands nothing but a password; the question is whose."""
    if body.startswith(b"$") or re.search(rb"\(|^\{[A-Za-z]|^%\w*$", body):
        return Reason.not_a_secret, "code rather than a value"
    if body.isdigit() and len(body) < 6 and b"@" not in candidate.before[-80:]:
        return Confidence.low, "a number that may be a port"
    lower = body.lower()
    if _SCHEME_AND_USER.search(candidate.before + body):
        if candidate.after.startswith((b"@localhost", b"@127.0.0.1")):
            return Reason.placeholder, "what a database of one's own machine is called by default"
        return Confidence.low, _OF_USER
    if lower in _WEAK:
        user = candidate.before[-16:].rpartition(b"/")[2].lower()
        if lower in (b"password", b"passwd") and user in (b"user:", b"username:"):
            return Reason.placeholder, "the words of documentation for a user and a password"
        if candidate.after.startswith(b"@[2001:db8:"):
            return Reason.placeholder, "a word for a password, at an address of documentation"
        return Confidence.low, _WEAK_WORD
    if _LOCAL_HOST.match(candidate.after):
        return Confidence.low, "a password in a URL, but a host of examples"
    if sequential_share(body) > 0.6:
        return Confidence.low, "a password in a URL that walks along the alphabet or a keyboard"
    return Confidence.medium if _WORDS.match(body) and len(body) < 12 else Confidence.high, "a password in a URL"


def _is_wordy(body: bytes) -> bool:
    """True if it is made of words and short numbers: ``LicenseRef-2-clause``."""
    parts = re.split(rb"[-_./]", body)
    letters = sum(len(part) for part in parts if part.isalpha())
    return len(parts) > 1 and 3 * letters >= 2 * len(body) and all(part.isalpha() or len(part) < 8 for part in parts)


def _says_password(name: bytes) -> bool:
    """False for names such as ``SUPPORTS_PASSIVE``; names of other words are let be, since another word may say it."""
    words = context.words_of(name)
    holding = [word for word in words if b"pass" in word]
    return not holding or any(
        word.endswith(b"pass") or b"passw" in word or b"passp" in word or b"passc" in word for word in holding
    )


def _speaks_only(name: bytes) -> bool:
    words = context.words_of(name)
    return bool(words) and words[-1] in _OTHER_THINGS


def _is_quoted(candidate: Candidate) -> bool:
    """True if quotes, or the tags of XML, say where the value begins and ends."""
    return candidate.before.rstrip(b"\\")[-1:] in (b'"', b"'", b"`", b">") and candidate.after.lstrip(b"\\")[:1] in (
        b'"',
        b"'",
        b"`",
        b"<",
    )


_NAME_OF_CODE: Final = 0.25
_DIGITS: Final = re.compile(rb"[0-9]+")
_CAMEL_WORD: Final = re.compile(rb"[A-Z][a-z]{3,}|[a-z]{8,}(?=[A-Z])")


def _camel_share(body: bytes) -> float:
    """The share of it that is words with capitals, as in a name of code: ``X25519PrivateKey``."""
    return sum(map(len, _CAMEL_WORD.findall(body))) / len(body)


def _has_random_part(body: bytes) -> bool:
    """True if a part of it is too long and too random for a name of code."""
    return any(
        any(48 <= byte <= 57 for byte in part)
        and not part.isdigit()
        and entropy.looks_random(part)
        and _camel_share(part) < _NAME_OF_CODE
        for part in _RANDOM_PART.findall(body)
    )


def _is_code(candidate: Candidate, body: bytes) -> bool:
    if _PLACE.search(body) and not _has_random_part(body):
        return True
    if _REFERENCE.search(body) and not _has_random_part(body):
        return True
    if _is_quoted(candidate):
        return bool(_NAMED_ARGUMENT.match(body))
    return bool(_BRACKETS.search(body)) or candidate.after.startswith((b"(", b"[", b"."))


_PROSE: Final = re.compile(
    rb"(?i:\bpass(?:ing|ed|es)?) [\"'`]$|[A-Za-z0-9_][\"'`\])]{0,4}[ \t]*\n\s*[\"'`]$"
    rb"|pass(?:word|phrase)s? (?:or|and|to|for) [\"'`]$"
)
"""``pass 'x' to``, or two strings with nothing but a line break between them."""
_CLOSING: Final = re.compile(rb"[A-Za-z0-9_]{2}[\"'`]$")
"""The quote ends a string: what stands behind it is not in quotes."""
_FIRST_ARGUMENT: Final = re.compile(rb"\(\s*[\"'][^\"'\n]*[\"'],\s*[\"'`]{1,2}$")
_CALLED: Final = re.compile(
    rb"(?<![a-z])(?!(?i:set|with|add|use|put|pass))[A-Za-z_]*(?i:passw(?:or)?d|passphrase)[A-Za-z_]*\(\s*[\"'`]$"
)


def _password(candidate: Candidate, body: bytes) -> Verdict:
    lower = body.lower()
    quoted = _is_quoted(candidate)
    if lower in _LANGUAGE:
        return Reason.not_a_secret, "a word of the language"
    if _is_code(candidate, body) or (not quoted and body.startswith((b"$", b"%", b"--", b"@", b"&", b"*", b"!", b"<", b"|"))):
        return Reason.not_a_secret, "code rather than a value"
    name = context.word_before(candidate.before)
    if candidate.detector.id.startswith("generic-") and _speaks_only(name):
        return Reason.other_name, "the name before it only speaks of a password"
    if name and candidate.detector.id.startswith("generic-password") and not _says_password(name):
        return Reason.other_name, "a name that only holds the letters of a password's"
    if candidate.detector.id == "generic-password":
        before = candidate.before[-_NAME_BYTES:]
        if _PROSE.search(before) or _CLOSING.search(before):
            return Reason.not_a_secret, "a sentence or a list rather than an assignment"
        if (_LISTED.search(before) and not _FIRST_ARGUMENT.search(before)) or _CALLED.search(before):
            return Confidence.low, "listed after a word that says password, or handed to a call"
    if candidate.before.endswith(b">") and not candidate.after.startswith((b"<", b"]")):
        return Reason.not_a_secret, "behind a tag, but no element"
    if not quoted and candidate.detector.id == "generic-password-unquoted" and (_NUMBER.match(body) or b"=" in body[1:-2]):
        return Reason.not_a_secret, "a number or another setting"
    if candidate.detector.id == "generic-password-beside-user" and not quoted and lower == name.lower():
        return Reason.not_a_secret, "code rather than a value"
    if len(set(body)) < 3:
        return Confidence.low, "hardly any different characters"
    if lower in _WEAK or lower == name.lower():
        return Confidence.low, _WEAK_WORD
    if b" " in body or _WORDS.match(body) or _IDENTIFIER.match(body) or sequential_share(body) > 0.6:
        return Confidence.low, "assigned to the name of a password, but mere words"
    if len(body) < 8 or len(set(body)) < 6 or candidate.before.endswith(b"`"):
        return Confidence.low, "assigned to the name of a password, but weak or in a sentence"
    if candidate.detector.severity.rank <= 1:
        return Confidence.low, "a password that a sentence tells"
    return Confidence.medium, "assigned to the name of a password"


_ASSIGNED: Final = linear.compiled(
    rb"(?i)(?:secret|token|api[_. -]?key|access[_.-]?key|auth[_.-]?key|private[_.-]?key|client[_.-]?key"
    rb"|(?:en|de)cryption[_.-]?key|signing[_.-]?key|account[_.-]?key|shared[_.-]?key|license[_.-]?key|credential|bearer|salt|[_-]pat|passw(?:or)?d|passwd"
    rb"|[_.\- \"']key|[a-z]Key|_KEY|[_\- ]auth|authorization|[_-]pwd|oauth)[A-Za-z0-9_.-]{0,24}"
    # name = value
    rb"(?:[\"'\])\\]{0,4}[ \t]{0,20}(?:(?:=>|:=|\|\|=|[!=]?={1,3}|>|<-)[\s\\]{0,20}|:[\s\\]{0,20})"
    rb"(?:[@bru]?[\"'`\\(\[]{0,4}|<!\[CDATA\[)"
    # call('name', 'value')
    rb"|[\"'][ \t]{0,20},[\s]{0,20}[\"'`\\]{1,4}"
    # name: …, value: …
    rb"|[\"'\\]{0,4}[,\s]{1,24}[\"']?(?:string)?value[\"'\\]{0,3}[ \t]{0,4}[:=]"
    rb"[\s{]{0,8}(?:[\"']stringValue[\"']:[ \t]{0,4})?[\"'\\]{0,3}"
    # setter("value"), --name value, name is value
    rb"|\([ \t]{0,4}[\"'`]"
    rb"|(?: is| was)?[ \t=:]{1,24}[\"'`\\]{0,2})(?:Bearer |Basic |Token |token )?$"
)
_NAME_BYTES: Final = 96
_CURSOR: Final = re.compile(
    rb"(?:next|page|prev|previous|start|starting|continuation|change|lock|sync|idempotency|export|import)"
    rb"[_-]?(?:page)?[_-]?token[\"']?[^A-Za-z0-9]{1,12}$",
    re.IGNORECASE,
)
_LISTED: Final = re.compile(rb"[\"'][ \t]{0,20},[\s]{0,20}[\"'`\\]{1,4}$")
_OPERATOR: Final = re.compile(rb"[:=>][ \t\\]*[\"'`(\[]{0,3}$")
_OPTION: Final = re.compile(rb"(?:^|\s)-{1,2}[A-Za-z][\w-]*[ =]{1,4}[\"']?$")
_BARE_KEY: Final = re.compile(rb"(?:[_.\- \"']key|[a-z]Key|_KEY)[A-Za-z0-9_.-]{0,24}[^A-Za-z0-9]{0,24}$")


_NUMBERS_IN_NAMES: Final = 3
"""A name of code holds fewer numbers that stand apart: ``ecdsaP256Sha384``."""


def _is_made_of_words(candidate: Candidate, body: bytes) -> bool:
    if _WORDS.match(body) or _IDENTIFIER.match(body):
        return True
    if _is_quoted(candidate) or _camel_share(body) <= _NAME_OF_CODE:
        return False
    return len(_DIGITS.findall(body)) < _NUMBERS_IN_NAMES


def _is_wordy_key(candidate: Candidate, body: bytes) -> bool:
    """True if it is too much like words to be a key of no known provider."""
    return (
        _is_made_of_words(candidate, body)
        or not any(48 <= byte <= 57 for byte in body)
        or (_is_wordy(body) and not entropy.looks_random(body))
    )


def _key(candidate: Candidate, body: bytes) -> Verdict:
    before = candidate.before[-_NAME_BYTES:]
    digits = any(48 <= byte <= 57 for byte in body)
    wordy = _is_made_of_words(candidate, body)
    if candidate.detector.id == "generic-secret":
        if not _ASSIGNED.search(before):
            return Reason.not_a_secret, "not assigned to a name that says secret"
        if _CURSOR.search(before):
            return Reason.other_name, "a cursor or an idempotency token"
    lower = body.lower()
    if lower in _LANGUAGE:
        return Reason.not_a_secret, "a word of the language"
    if _NUMBER.match(body) or _is_code(candidate, body):
        return Reason.not_a_secret, "code rather than a value"
    name = context.word_before(candidate.before)
    if _speaks_only(name):
        return Reason.other_name, "the name before it only speaks of a key"
    if context.is_identifying(name):
        return Reason.other_name, "the name before it is that of an identifier or a digest"
    random = digits and not wordy
    if candidate.detector.id == "generic-password" and (not random or len(body) < 12 or not entropy.looks_random(body)):
        # in quotes, and no generated key: what is no word of code may be what somebody chose
        if not wordy and lower != name.lower() and lower not in _WEAK:
            return Confidence.low, "assigned to the name of a key, but hardly random"
        if b" " in body or len(body) < 6 or not _STRONG_NAME.search(name):
            return Reason.not_a_secret, "words, not a key"
        return Confidence.low, "assigned to the name of a key, but mere words"
    if not random:
        return Reason.not_a_secret, "words, not a key"
    if sequential_share(body) > 0.6:
        return Confidence.low, "it walks along the alphabet or a keyboard"
    if not entropy.looks_random(body):
        if _WORDS.match(body) or len(body) < 12 or _is_wordy(body):
            return Reason.low_entropy, "not random enough for a key"
        return Confidence.low, "assigned to the name of a key, but less random than keys are"
    before = candidate.before
    if _LISTED.search(before) and before.rfind(b"(") <= max(before.rfind(b"["), before.rfind(b"\n")):
        return Confidence.low, "listed after a word that says secret"
    if before[-1:] in (b" ", b"\t") and not (_OPTION.search(before) or _OPERATOR.search(before)):
        return Confidence.low, "it stands behind a word that says secret"
    if before[-1:] == b":":
        return Confidence.low, "behind a colon, as a part of a path or a key of a cache may be"
    if _UUID.match(body) or _DIGEST.match(body) or len(body) < 16:
        if _STRONG_NAME.search(before[-64:]) and _DIGEST.match(body):
            return Confidence.medium, "a random value assigned to the name of a key"
        return Confidence.low, "it may be an identifier or a digest"
    if _BARE_KEY.search(before) and not _STRONG_NAME.search(before[-64:]):
        return Confidence.low, "a random value assigned to a name that may be any key's"
    return (Confidence.medium if shannon(body) >= 3.5 else Confidence.low), "a random value assigned to the name of a key"
