"""What people let pass: markers on a secret's line, and the entries of allow-lists.

An allow-list is a TOML file::

    [[allow]]
    fingerprint = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    owner = "payments team"
    reason = "the sandbox account of the integration tests"
    expires = 2027-06-30            # or "never"

    [[allow]]
    path = "tests/**"
    detector = "generic-*"
    owner = "security"
    reason = "passwords of fixtures"
    expires = "never"

Conditions of one entry must all hold; the others are ``expression`` (RE2, found in the secret) and ``commit`` (its first
seven digits or more). An entry that names fingerprints lets these secrets pass and no other: a new secret in the same place
is seen. Entries that are over do not apply.

Markers are those of Sluice (``sluice:allow``, ``sluice:allow-next-line``) and of the tools that a repository may have met
before. ``sluice:allow[generic-*]`` lets only these detectors pass, ``sluice:allow[9f86d081884c]`` only the secret whose
fingerprint begins so, ``until=2027-06-30`` behind it is where it ends. A marker in a log line is nobody's decision and
counts for nothing.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
import re2

from service.errors import SettingsError, nearest
from service.judge import globs, linear
from service.judge.reasons import Reason
from service.records import Finding, Location, Span

Inline = Literal["obey", "report"]
"""Whether markers let a finding pass, or are only told of."""

_SAME_LINE: Final = re.compile(
    rb"sluice:allow(?!-next)(?:\[(?P<only>[^\]\n]{1,200})\])?(?:[ \t]+until=(?P<until>\d{4}-\d\d-\d\d))?"
    rb"|gitleaks:allow|betterleaks:allow|trufflehog:ignore|kingfisher:(?:ignore|allow)|titus:ignore|noseyparker:ignore"
    rb"|pragma: ?(?:allow|white)list[ -]secret|ggignore|gitguardian:ignore|secretlint-disable-line|\bnosecret\b"
    rb"|devskim: ?ignore ds173237|checkov:skip=ckv_secret_\d+|noqa: ?[a-z0-9, ]*\bs10[567]\b",
    re.IGNORECASE,
)
_LINE_BEFORE: Final = re.compile(
    rb"sluice:allow-next-line(?:\[(?P<only>[^\]\n]{1,200})\])?(?:[ \t]+until=(?P<until>\d{4}-\d\d-\d\d))?"
    rb"|pragma: ?(?:allow|white)list nextline[ -]secret|secretlint-disable-next-line",
    re.IGNORECASE,
)
_WORDS: Final = (b"allow", b"ignore", b"pragma", b"disable", b"nosecret", b"skip=", b"noqa")
"""One of these is in every marker: to look for them takes a hundredth of the time of the expressions."""
_LONGEST_LINE: Final = 4096
"""So many bytes to each side of a secret are looked at for the end of its line."""


def marker(text: bytes, place: Span) -> str:
    """The marker that stands on the first or last line of a place in a text, or on the line before it; empty if none does."""
    start = text.rfind(b"\n", max(0, place.start - _LONGEST_LINE), place.start) + 1 or max(0, place.start - _LONGEST_LINE)
    end = text.find(b"\n", place.end, place.end + _LONGEST_LINE)
    end = min(len(text), place.end + _LONGEST_LINE) if end < 0 else end
    # not inside the secret itself: whoever makes one up does not decide
    for part in (text[place.end : end], text[start : place.start], *_own_lines(text, place)):
        found = _SAME_LINE.search(part) if _may_mark(part) else None
        if found:
            return found[0].decode("utf-8", "replace")
    before = text[max(0, text.rfind(b"\n", max(0, start - 1 - _LONGEST_LINE), max(0, start - 1)) + 1) : start]
    before = before[-_LONGEST_LINE:]
    found = _LINE_BEFORE.search(before) if _may_mark(before) else None
    return found[0].decode("utf-8", "replace") if found else ""


def _may_mark(text: bytes) -> bool:
    text = text.lower()
    return any(word in text for word in _WORDS)


def _own_lines(text: bytes, place: Span) -> tuple[bytes, ...]:
    """The first line of a secret of several lines: a marker may stand at its end."""
    newline = text.find(b"\n", place.start, place.end)
    return (text[place.start : newline],) if newline >= 0 else ()


_LONGEST_NAME: Final = 160


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry of an allow-list; the module's text describes it."""

    owner: str
    reason: str
    expires: datetime.date | None
    """The last day; None for ever."""
    fingerprint: str | tuple[str, ...] = ()
    path: str | tuple[str, ...] = ()
    detector: str | tuple[str, ...] = ()
    expression: str = ""
    commit: str | tuple[str, ...] = ()
    source: str = ""
    """The file and the number of the entry in it, set on loading."""

    def is_over(self, today: datetime.date) -> bool:
        """True if it applies no more: the day it names is the last."""
        return self.expires is not None and self.expires < today

    @property
    def named(self) -> str:
        """Its conditions, shortened: a name that stays when entries around it come and go."""
        told = []
        for key in ("fingerprint", "path", "detector", "expression", "commit"):
            if values := _several(getattr(self, key)):
                more = f" and {len(values) - 1} more" if len(values) > 1 else ""
                told.append(f"{key}={values[0][:12] if key == 'fingerprint' else values[0]}{more}")
        return ", ".join(told)[:_LONGEST_NAME]


class Suppressed(NamedTuple):
    """Why a finding is let pass, and the clause that says by whom."""

    reason: Reason
    clause: str


class Told(NamedTuple):
    """What there is to tell of an entry: it is over, or let nothing pass so far."""

    entry: Entry
    clause: str


def load(path: Path) -> list[Entry]:
    """Reads an allow-list.

    Raises:
        SettingsError: naming the file, the entry and the key.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: this is no TOML: {error}") from error
    if unknown := set(document) - {"allow"}:
        raise SettingsError(f"{path}: {min(unknown)}: there is no such key; entries [[allow]] expected")
    listed = document.get("allow", [])
    if not isinstance(listed, list):
        raise SettingsError(f"{path}: allow: entries [[allow]] expected, not a table")
    return [_entry(path, number, table) for number, table in enumerate(listed, 1)]


def _entry(path: Path, number: int, table: Any) -> Entry:
    place = f"{path}: [[allow]] {number}"
    known = [name for name in Entry.__struct_fields__ if name != "source"]
    if unknown := set(table if isinstance(table, dict) else ()) - set(known):
        raise SettingsError(f"{place}: {min(unknown)}: there is no such key; {nearest(min(unknown), known)}")
    if not isinstance(table, dict) or "expires" not in table:
        raise SettingsError(f'{place}: expires: a date such as 2027-06-30, or "never", expected')
    expires = None if table["expires"] == "never" else table["expires"]
    try:
        entry = msgspec.convert({**table, "expires": expires, "source": f"{path} [[allow]] {number}"}, Entry)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{place}: {error}") from error
    if not entry.owner.strip() or not entry.reason.strip():
        raise SettingsError(f"{place}: owner and reason: who lets it pass and why expected")
    if not any((entry.fingerprint, entry.path, entry.detector, entry.expression, entry.commit)):
        raise SettingsError(f"{place}: one of fingerprint, path, detector, expression, commit expected: it would let all pass")
    for fingerprint in _several(entry.fingerprint):
        if not re.fullmatch(r"[0-9a-f]{64}", fingerprint):
            raise SettingsError(
                f"{place}: fingerprint: 64 hexadecimal digits expected, as `sluice scan --format jsonl` shows them"
            )
    for commit in _several(entry.commit):
        if not re.fullmatch(r"[0-9a-fA-F]{7,64}", commit):
            raise SettingsError(f"{place}: commit: 7 hexadecimal digits or more expected, found {commit!r}")
    for key in ("path", "detector"):
        for pattern in _several(getattr(entry, key)):
            if clause := globs.problem(pattern):
                raise SettingsError(f"{place}: {key}: {pattern!r}: {clause}")
    if entry.expression:
        try:
            linear.compiled(entry.expression.encode())
        except re2.error as error:
            raise SettingsError(f"{place}: expression: RE2 refuses it: {error}") from error
    return entry


class Suppression:
    """The entries and the policy of one worker or command. Counts what fires; otherwise without state.

    ``today`` gives the day that decides what is over.
    """

    def __init__(
        self,
        entries: Iterable[Entry] = (),
        inline: Inline = "obey",
        today: Callable[[], datetime.date] = datetime.date.today,
    ) -> None:
        self._matches = [(_matcher(entry), entry) for entry in entries]
        self._inline = inline
        self._today = today
        self.fired: Counter[str] = Counter()
        """How often each entry let something pass, by its :attr:`Entry.source`."""
        self.inline = 0
        """How often a marker let something pass, or would have where the policy is ``report``."""

    def take_over(self, former: Suppression) -> None:
        """Goes on with the counts of entries that say what they said before, wherever in their files they stand now."""
        counts = {_said(entry): former.fired[entry.source] for entry in former.entries}
        self.fired.update({entry.source: counts[_said(entry)] for entry in self.entries if counts.get(_said(entry))})
        self.inline += former.inline

    @property
    def entries(self) -> list[Entry]:
        """All of them, those that are over too."""
        return [entry for _, entry in self._matches]

    def suppressed(self, finding: Finding, location: Location, fingerprint: str) -> Suppressed | None:
        """Why this finding is let pass; None if it is not."""
        today = self._today()
        for matches, entry in self._matches:
            if not entry.is_over(today) and matches(finding, location, fingerprint):
                self.fired[entry.source] += 1
                return Suppressed(Reason.allowed_by_list, f"{entry.owner}: {entry.reason} ({entry.source})")
        if finding.marker and location.type != "log" and _obliges(finding, fingerprint, today):
            self.inline += 1
            if self._inline == "obey":
                return Suppressed(Reason.allowed_inline, f"{finding.marker} on its line")
        return None

    def told(self) -> list[Told]:
        """The entries that are over, and those that let nothing pass so far."""
        today = self._today()
        found = []
        for _, entry in self._matches:
            if entry.is_over(today):
                found.append(Told(entry, f"over since {entry.expires}; what it let pass is reported again"))
            elif not self.fired[entry.source]:
                found.append(Told(entry, "let nothing pass; is it still needed?"))
        return found


def _said(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, source="")


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value else tuple(value)


def _matcher(entry: Entry) -> Callable[[Finding, Location, str], bool]:
    fingerprints = frozenset(_several(entry.fingerprint))
    paths = [globs.of_paths(pattern) for pattern in _several(entry.path)]
    detectors = [globs.of_words(pattern) for pattern in _several(entry.detector)]
    commits = tuple(commit.lower() for commit in _several(entry.commit))
    expression = linear.compiled(entry.expression.encode()) if entry.expression else None

    def matches(finding: Finding, location: Location, fingerprint: str) -> bool:
        return (
            (not fingerprints or fingerprint in fingerprints)
            and (not detectors or any(covers(finding.candidate.detector.id) for covers in detectors))
            and (not paths or (location.path is not None and any(covers(location.path) for covers in paths)))
            and (not commits or (location.commit or "").lower().startswith(commits))
            and (expression is None or expression.search(finding.candidate.secret.reveal()) is not None)
        )

    return matches


def _obliges(finding: Finding, fingerprint: str, today: datetime.date) -> bool:
    """True if the marker concerns this finding, and today."""
    found = _SAME_LINE.search(finding.marker.encode()) or _LINE_BEFORE.search(finding.marker.encode())
    named = found.groupdict() if found else {}
    until, only = named.get("until"), named.get("only")
    if until:
        try:
            if datetime.date.fromisoformat(until.decode()) < today:
                return False
        except ValueError:
            return False
    if not only:
        return True
    for part in (part.strip() for part in only.decode("utf-8", "replace").split(",")):
        if re.fullmatch(r"[0-9a-f]{12,64}", part):
            if fingerprint.startswith(part):
                return True
        elif part and not globs.problem(part) and globs.of_words(part)(finding.candidate.detector.id):
            return True
    return False
