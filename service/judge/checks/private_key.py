"""Private keys: PEM of all kinds (RFC 7468), OpenSSH's own format, PGP armour (RFC 9580), PuTTY's files.

The body must be base64 and decode to what its head promises. Bodies come with real line breaks, with ``\\n`` written out,
with neither, quoted and indented. Linear in the length of the key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from service.records import CheckResult

NAME: Final = "private-key"
_HEAD: Final = re.compile(rb"-{4,5} ?BEGIN ([A-Z0-9 ]{0,40})-{4,5}")
_FILLING: Final = re.compile(rb"\\+[nrt]|[^A-Za-z0-9+/=\\]+|\\+")
_ELIDED: Final = re.compile(rb"\.\.\.|\xe2\x80\xa6|[xX*]{8}|<[a-z]|\$\{|\{\{")
_HEADERS: Final = re.compile(rb"(?:^|\n|\\n)(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|X-[\w-]+): [^\n\\]*")
_OPENSSH: Final = b"openssh-key-v1\0"
_ENCODED: Final = b"LS0tLS1CRUdJTi"
_LEAST_BYTES: Final = 32


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Passed if the body decodes to a key's structure; failed if it does not; placeholder if it is left out."""
    if secret.startswith(b"PuTTY-User-Key-File"):
        encrypted = b"Encryption: none" not in secret
        return CheckResult("passed", "a key file of PuTTY", {"encrypted": "yes" if encrypted else "no"})
    if secret.startswith(_ENCODED):
        return _encoded(secret, before, after)
    head = _HEAD.match(secret)
    if head is None:
        return CheckResult("neutral", "no head of a key")
    stop = secret.rfind(b"-----END")
    body = secret[head.end() : stop if stop > 0 else len(secret)]
    if _ELIDED.search(body):
        return CheckResult("placeholder", "the body of the key is left out")
    encrypted = b"ENCRYPTED" in head[1] or b"ENCRYPTED" in body
    text = _FILLING.sub(b"", _HEADERS.sub(b"", body))
    armour, equals, checksum = text.rstrip(b"=").rpartition(b"=")
    if b"PGP" in head[1] and equals and len(checksum) == 4:
        text = armour
    text = text.rstrip(b"=")
    try:
        data = base64.b64decode(text[: len(text) - (len(text) % 4 == 1)] + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return CheckResult("failed", "its body is not base64")
    if len(data) < _LEAST_BYTES or len(set(data)) < 8:
        return CheckResult("placeholder", "its body is too short for a key")
    kind = _kind(head[1], data, encrypted)
    if kind is None:
        return CheckResult("failed", "its body does not have the structure of a key")
    if kind.startswith("OpenSSH"):
        encrypted = not data[len(_OPENSSH) + 4 :].startswith(b"none")
    facts = {"key": kind, "encrypted": "yes" if encrypted else "no"}
    if not encrypted and "PGP" not in kind:
        about = _about(data)
        if about is None:
            return CheckResult("passed", f"{kind}, well-formed, of a kind or content that cannot be loaded", facts)
        facts["algorithm"] = about
    return CheckResult("passed", f"{kind}, well-formed", facts)


def _encoded(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """A whole PEM file in base64, as a line of an environment or a Kubernetes Secret holds it."""
    text = secret.rstrip(b"=")
    try:
        decoded = base64.b64decode(text[: len(text) // 4 * 4])
    except (binascii.Error, ValueError):
        return CheckResult("failed", "it is not base64")
    start = decoded.find(b"PRIVATE KEY")
    if start < 0:
        return CheckResult("placeholder", "a certificate or another PEM file, and no private key")
    return check(decoded[decoded.rfind(b"-----BEGIN", 0, start) :], before, after)


def _about(data: bytes) -> str | None:
    """Algorithm and size of a key that is not encrypted; None if it cannot be loaded."""
    try:
        if data.startswith(_OPENSSH):
            block = b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + base64.encodebytes(data) + b"-----END OPENSSH PRIVATE KEY-----\n"
            key: object = serialization.load_ssh_private_key(block, None)
        else:
            # whether the numbers of an RSA key are primes takes a second to prove, and tells nothing of a leak
            key = serialization.load_der_private_key(data, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    name = type(key).__name__.removesuffix("PrivateKey").lstrip("_")
    curve, size = getattr(key, "curve", None), getattr(key, "key_size", None)
    return f"{name} {curve.name if curve else size}" if curve or size else name


def _kind(head: bytes, data: bytes, encrypted: bool) -> str | None:
    if data.startswith(_OPENSSH):
        return "OpenSSH key"
    if b"PGP" in head:
        return "PGP key" if data[0] & 0x80 else None
    if encrypted and b"ENCRYPTED" not in head:
        return "encrypted PEM key"  # ciphertext: nothing more can be seen of it
    # DER: a sequence whose length is that of the rest, with an integer or a sequence first
    if data[0] != 0x30:
        return None
    length, at = data[1], 2
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 3:
            return None
        length, at = int.from_bytes(data[2 : 2 + size]), 2 + size
    if abs(len(data) - at - length) > 2 or data[at] not in (0x02, 0x30):
        return None
    return (
        "PKCS#8 key"
        if head.strip() in (b"PRIVATE KEY", b"ENCRYPTED PRIVATE KEY")
        else f"{(head.split() or [b'PEM'])[0].decode()} key"
    )


def complete(secret: bytes) -> bytes:
    """A block with the same head whose body has the structure of a key."""
    if secret.startswith(_ENCODED):
        return base64.b64encode(complete(b"-----BEGIN PRIVATE KEY-----"))
    head = _HEAD.match(secret)
    if head is None:
        return secret
    noise = b"".join(hashlib.sha256(secret + bytes((n,))).digest() for n in range(10))
    if b"OPENSSH" in head[1]:
        data = _OPENSSH + b"\0\0\0\4none\0\0\0\4none" + noise
    elif b"PGP" in head[1]:
        data = b"\x95" + noise
    else:
        body = (b"\x30\x0d" + noise[:13] if b"ENCRYPTED" in head[1] else b"\x02\x01\x00") + noise
        data = b"\x30\x82" + len(body).to_bytes(2) + body
    lines = base64.b64encode(data)
    wrapped = b"\n".join(lines[at : at + 64] for at in range(0, len(lines), 64))
    return b"-----BEGIN " + head[1] + b"-----\n" + wrapped + b"\n-----END " + head[1] + b"-----"
