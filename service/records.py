"""The nouns of the stream, each with one meaning everywhere.

A *record* is Kafka's. An *event* is decoded from it and holds *texts*. A *hit* is the engine's: a detector and the place
where its match ended. A *candidate* has an exact span. A *finding* has been judged. An *alert* is published.
"""

from __future__ import annotations

import enum
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import mul
from typing import Any, Final, Literal, NamedTuple, NoReturn, final

import msgspec


@final
class Secret:
    """A raw secret, in memory only.

    Its ``repr``, ``str`` and ``format`` are masked, it cannot be pickled or serialised, and only :meth:`reveal` gives
    the value: that word is what a reviewer looks for, and a test allows it in few modules.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value: Final = value

    def reveal(self) -> bytes:
        """The raw bytes. Never to be logged, exported or kept."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return f"<secret of {len(self._value)} bytes>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be serialised")


class Severity(enum.StrEnum):
    """What a leak of this kind costs, by the detector; ordered by :attr:`rank`."""

    info = "info"
    low = "low"
    medium = "medium"
    high = "high"
    critical = "critical"

    @property
    def rank(self) -> int:
        """0 for info to 4 for critical."""
        return _SEVERITIES[self]


class Confidence(enum.StrEnum):
    """How sure we are that the finding is a secret; ordered by :attr:`rank`."""

    low = "low"
    medium = "medium"
    high = "high"

    @property
    def rank(self) -> int:
        """0 for low to 2 for high."""
        return _CONFIDENCES[self]


# an enumeration lists its members slowly, and ranks are compared for each finding
_SEVERITIES: Final = {severity: rank for rank, severity in enumerate(Severity)}
_CONFIDENCES: Final = {confidence: rank for rank, confidence in enumerate(Confidence)}


class Validity(enum.StrEnum):
    """What the provider says of the secret. ``unknown`` is never "safe"."""

    unchecked = "unchecked"
    active = "active"
    inactive = "inactive"
    unknown = "unknown"


def longest_prefix(prefixes: Sequence[bytes], secret: bytes) -> bytes:
    """The longest of the prefixes with which a secret begins; empty if none."""
    return max((prefix for prefix in prefixes if secret.startswith(prefix)), key=len, default=b"")


def shannon(data: bytes) -> float:
    """Shannon entropy of the bytes' frequencies, in bits a byte; 0.0 for nothing."""
    total = len(data)
    if not total:
        return 0.0
    shares = [count / total for count in Counter(data).values()]
    return -math.fsum(map(mul, shares, map(math.log2, shares)))


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """What a provider's answer looks like; everything that is given must hold.

    ``json`` maps dotted paths (``error.code``, ``errors.0.type``) to the value that stands there, to a list of values of
    which one does, to ``"*"`` (something stands there) or to ``"-"`` (nothing does, or null). ``text`` is a part of the body.
    """

    status: Sequence[int] = ()
    json: Mapping[str, Any] = {}
    text: str = ""


PLACEHOLDER: Final = re.compile(r"\{([A-Za-z0-9][A-Za-z0-9 '._-]*)\}")
"""A name in braces, for what is filled in. GraphQL's braces are followed by a blank, so they are none."""


class LiveCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """How to ask a provider whether a secret is live, changing nothing and costing nothing.

    ``{secret}`` and the names of companions stand in braces. The host is the catalogue's or the operator's, never the
    event's: ``url`` begins with ``https://`` and a fixed host, of which at most a label in front is a companion, or with
    ``/`` where the operator names the host.
    """

    url: str
    method: Literal["GET", "HEAD", "POST"] = "GET"
    endpoint: str = ""
    """The key of ``[probe.endpoints]`` under which an operator names hosts, asked in place of those in ``url`` and ``also``."""
    also: Sequence[str] = ()
    """Further origins of the same provider, such as regions: a secret is inactive where all of them refuse it."""
    part: str = ""
    """An expression of the whole secret with one group, whose text is ``{part}``: the path of a URL, or a region in a key."""
    headers: Mapping[str, str] = {}
    basic: str = ""
    """``user:password`` of basic authentication."""
    query: Mapping[str, str] = {}
    form: Mapping[str, str] = {}
    json: Any = None
    """The document that is sent, placeholders in its strings."""
    sign: Mapping[str, str] = {}
    """``by`` names a signer of ``service/probe/signers/``; the rest are its arguments."""
    reader: str = ""
    """A reader of ``service/probe/readers/``, for answers that ``active`` and ``inactive`` cannot describe."""
    active: Sequence[int | Answer] = (200,)
    """What says that it is live: a status, or more. Answers with a body are looked at before mere statuses."""
    inactive: Sequence[int | Answer] = (401,)
    """What says that it is refused as a credential. What is not described is unknown."""
    unsure: Sequence[int | Answer] = ()
    """What refuses it, and might refuse a live one too: the companion is another's, the key is for one cluster or one use."""
    facts: Mapping[str, str] = {}
    """Harmless facts of a live secret's answer: name to dotted path, or to ``header:name``."""
    note: str = ""

    @property
    def origin(self) -> str:
        """Scheme and host of :attr:`url`, empty where the operator names it."""
        return "" if self.url.startswith("/") else self.url[: len(self.url) - len(self.path)] or self.url

    @property
    def path(self) -> str:
        """What :attr:`url` asks of the host, from the first ``/`` behind it on."""
        if self.url.startswith("/"):
            return self.url
        _, slash, path = self.url.removeprefix("https://").partition("/")
        return slash + path


class Revocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """How a secret is revoked: the path of clicks, the call, the page that describes it."""

    console: str = ""
    api: str = ""
    documentation: str = ""


class Knowledge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of a provider's way with its credentials, each a sentence or two; empty where it is not known."""

    about: str = ""
    """What the provider does."""
    create: str = ""
    """Where such credentials are made."""
    revoke: str = ""
    """Where they are revoked, for those that have no ``[secret.revoke]`` of their own."""
    api: str = ""
    """The call or command that revokes them."""
    audit: str = ""
    """Where their use by others is seen."""
    scopes: str = ""
    """How far their permissions can be narrowed."""
    rotation: str = ""
    """How they are replaced: two at a time, a time of grace, an expiry."""
    parallel: bool | None = None
    """True if the old and the new one work side by side, False if a new one ends the old one at once."""
    scanning: str = ""
    """What the provider itself does about its credentials in public code."""
    partner: bool = False
    """True if GitHub's secret scanning tells the provider of its credentials in public repositories."""
    links: Mapping[str, str] = {}
    """Pages of the provider's documentation: what they tell, and their address."""


class Detector(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One secret type; the keys are described in ``detectors/README.md``."""

    id: str
    name: str
    provider: str
    category: str
    severity: Severity
    expression: str
    keywords: Sequence[str] = ()
    lead: str = ""
    """What must stand before ``before``; looked for in the second pass alone."""
    before: str = ""
    after: str = ""
    boundary: str = "token"
    entropy: float | None = None
    assigned: bool = False
    """True if it is looked for only where a value is assigned to a name that says secret."""
    standard: bool = False
    """True if its form is a standard's and tells no provider."""
    checks: Sequence[str] = ()
    companions: Sequence[str] = ()
    risk: str = ""
    use: str = ""
    documentation: str = ""
    examples: Sequence[str] = ()
    near_misses: Sequence[str] = ()
    live: LiveCheck | None = None
    revoke: Revocation | None = None
    least_entropy: float = 0.0
    """Bits a byte that the variable part shows at the least: ``entropy``, or what random matches of the expression show."""
    prefixes: Sequence[bytes] = ()
    """The literals with which such secrets begin: they tell nothing of the secret itself."""

    def prefix_of(self, secret: bytes) -> bytes:
        """The longest of :attr:`prefixes` with which this secret begins; empty if none."""
        return longest_prefix(self.prefixes, secret)

    @property
    def is_generic(self) -> bool:
        """True if it stands for secrets of no known provider."""
        return self.standard or self.category == "generic"


class Span(msgspec.Struct, frozen=True, gc=False):
    """A half-open range of bytes, ``start`` included, ``end`` excluded."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def overlaps(self, other: Span) -> bool:
        """True if the two share at least one byte."""
        return self.start < other.end and other.start < self.end


class Record(msgspec.Struct, frozen=True, gc=False):
    """One Kafka record, its bytes as they arrived.

    ``timestamp`` is in milliseconds since the epoch, -1 where the producer gave none.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


class Origin(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Where an event comes from, as far as its producer told. All optional; times as the producer wrote them."""

    type: str = "unknown"
    """``code``, ``log`` or ``unknown``."""
    envelope: str = ""
    """The name of the envelope that was recognised, such as ``filebeat``."""
    id: str | None = None
    repository: str | None = None
    ref: str | None = None
    commit: str | None = None
    path: str | None = None
    url: str | None = None
    author: str | None = None
    source: str | None = None
    host: str | None = None
    time: str | None = None


class Text(msgspec.Struct, frozen=True):
    """One string of an event, as UTF-8 bytes (invalid input bytes are kept as they are).

    ``field`` is its path in the record, such as ``commits[0].message``, ``value``, ``key`` or ``headers.trace``.
    ``first_line`` is the line number, in the file or log the text was taken from, of its first line.
    ``kind`` is ``content`` for running text, ``patch`` for a unified diff (lines are numbered by its hunks), ``key``
    for the name of a JSON member.
    """

    data: bytes
    field: str
    first_line: int = 1
    kind: str = "content"
    name: bytes | None = None
    """The name of the member that holds it, so that keywords in names are seen before the value."""


class Event(msgspec.Struct, frozen=True):
    """What a record says: its origin and every string of it."""

    origin: Origin
    texts: Sequence[Text]


class CheckResult(msgspec.Struct, frozen=True, gc=False):
    """What one offline check says of a candidate.

    ``outcome`` is ``passed`` (the format proves itself), ``failed`` (it contradicts itself), ``placeholder`` (nobody's
    secret: a mask, a template, documentation) or ``neutral`` (tells nothing). ``reason`` is one clause for people and
    never holds any part of the secret.
    """

    outcome: str
    reason: str
    facts: Mapping[str, str] = {}
    """Harmless facts that the secret holds in clear, such as an account id."""


class Candidate(msgspec.Struct, frozen=True):
    """An exact span that a detector's own expression matched.

    ``span`` lies in the text that was searched; where that text was decoded from a part of the event's text,
    ``encoding`` is the path of decodings, outermost first (``base64``, ``base64+gzip``), and ``place`` is the span of
    the encoded run in the event's own text; otherwise ``place`` equals ``span``.
    """

    detector: Detector
    secret: Secret
    span: Span
    place: Span
    encoding: str | None
    before: bytes
    """Up to 128 bytes that stand before the secret."""
    after: bytes
    """Up to 64 bytes that stand behind it."""
    keyword: str | None = None
    """The keyword that stands near it, where the detector asks for one."""


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """Where a secret leaked. ``line`` and ``column`` count from 1, the column in bytes; times as their producer wrote them.

    ``event`` counts the events of one record from 0.
    """

    topic: str | None = None
    partition: int = 0
    offset: int = 0
    event: int = 0
    type: str = "unknown"
    field: str = ""
    repository: str | None = None
    ref: str | None = None
    commit: str | None = None
    path: str | None = None
    line: int | None = None
    column: int | None = None
    url: str | None = None
    author: str | None = None
    source: str | None = None
    host: str | None = None
    time: str | None = None
    envelope: str | None = None


class Part(msgspec.Struct, frozen=True):
    """A companion of a secret: what is needed to use it, or tells whose it is."""

    name: str
    """What it is, such as ``access key id`` or ``domain``."""
    secret: Secret
    detector: str = ""
    """The detector that found it, if it is a finding of its own kind."""
    harmless: bool = False
    """True if it may be shown as it is: an account number, a domain."""


class Ruling(NamedTuple):
    """What the rules of the settings make of a finding or an alert, and what is to be done then."""

    severity: Severity
    tags: tuple[str, ...] = ()
    topic: str | None = None
    """Where its alerts go; the usual topic if None."""
    dropped: str = ""
    """The name of the rule that drops it."""
    steps: tuple[str, ...] = ()
    """What to do, in order, now that the provider has answered; as it was if empty."""


class Finding(msgspec.Struct, frozen=True):
    """A candidate that has been judged."""

    candidate: Candidate
    severity: Severity
    confidence: Confidence
    checks: Mapping[str, str]
    """Name of the check to ``passed`` or ``failed``."""
    reasons: Sequence[str]
    """One clause each: why the confidence is what it is."""
    facts: Mapping[str, str] = {}
    validity: Validity = Validity.unchecked
    parts: Sequence[Part] = ()
    """What belongs to the secret and stands near it."""
    marker: str = ""
    """The inline marker on its line by which people let it pass, as it is written; whether it is obeyed is decided later."""
    tags: Sequence[str] = ()
    """Given by rules of the settings."""
    topic: str | None = None
    """Where its alert goes, if a rule of the settings says so."""
