"""From TOML files to detectors.

One file a provider, ``<category>/<provider>.toml``; the format is described in ``detectors/README.md``. Whatever is wrong
with a file is told with the file, the detector and the key.
"""

from __future__ import annotations

import hashlib
import random
import re
import tomllib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from service.detect import expressions, live
from service.errors import DetectorError, ExpressionError
from service.records import Detector, Knowledge, LiveCheck, Revocation, Severity, longest_prefix, shannon

BUILT_IN: Final = Path(__file__).resolve().parent.parent.parent / "detectors"
"""The folder of the detectors that Sluice comes with."""

LEAST_KEYWORD_LETTERS: Final = 4
_ENTROPY_SAMPLES: Final = 8
_ENTROPY_MARGIN: Final = 0.86
_ID: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_BOUNDARIES: Final = ("token", "left", "right", "none")


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A ``[[secret]]`` table as it is written."""

    id: str
    name: str
    severity: Severity
    expression: str
    examples: list[str]
    keywords: list[str] = []
    lead: str = ""
    before: str = ""
    after: str = ""
    boundary: str = "token"
    entropy: float | None = None
    assigned: bool | None = None
    standard: bool = False
    checks: list[str] = []
    companions: list[str] = []
    risk: str = ""
    use: str = ""
    documentation: str = ""
    near_misses: list[str] = []
    live: LiveCheck | None = None
    revoke: Revocation | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A provider's file as it is written."""

    provider: str
    secret: list[_Entry]
    documentation: str = ""
    knowledge: Knowledge | None = None
    """Read where a playbook is written, not kept in the database."""


class Source(msgspec.Struct, frozen=True):
    """A detector file: its category, its name for messages, and its bytes."""

    category: str
    name: str
    data: bytes


def read(folders: Iterable[Path] = (BUILT_IN,)) -> list[Source]:
    """The files of the folders, in a stable order.

    Raises:
        DetectorError: a folder or a file cannot be read.
    """
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise DetectorError(f"{folder}: there is no such folder of detectors")
        for path in sorted(folder.glob("*/*.toml")):
            try:
                found.append(Source(path.parent.name, f"{path.parent.name}/{path.name}", path.read_bytes()))
            except OSError as error:
                raise DetectorError(f"{path}: cannot be read: {error.strerror}") from error
    return found


def digest(sources: Sequence[Source]) -> str:
    """What the files say, in 64 hexadecimal digits: equal content, equal digest."""
    state = hashlib.sha256()
    for source in sources:
        for part in (source.category.encode(), source.name.encode(), source.data):
            state.update(len(part).to_bytes(8))
            state.update(part)
    return state.hexdigest()


def load(
    sources: Sequence[Source], known_checks: Iterable[str] | None = None, known_live: Iterable[str] | None = None
) -> list[Detector]:
    """The detectors of the files, proved to be well-formed.

    A later file's detector replaces an earlier one of the same id (that is how a user overrides one); within one file,
    and among files of one folder, an id stands once.

    Args:
        sources: what :func:`read` gave.
        known_checks: the names that ``checks`` may hold; None leaves them unproved.
        known_live: the names that ``live.sign.by`` and ``live.reader`` may hold; None leaves them unproved.

    Raises:
        DetectorError: naming the file, the detector and the key.
    """
    found: dict[str, tuple[str, Detector]] = {}
    checks = None if known_checks is None else frozenset(known_checks)
    probes = None if known_live is None else frozenset(known_live)
    for source in sources:
        for detector in _parse(source):
            if checks is not None and (unknown := set(detector.checks) - checks):
                raise _wrong(source, detector.id, "checks", f"there is no check named {min(unknown)!r}")
            for key, what in live.faults(detector.live, detector.companions, probes) if detector.live else ():
                raise _wrong(source, detector.id, f"live.{key}", what)
            earlier = found.get(detector.id)
            if earlier is not None and earlier[0] == source.name:
                raise _wrong(source, detector.id, "id", "this id stands twice in the file")
            found[detector.id] = (source.name, detector)
    return [detector for _, detector in found.values()]


def knowledge(sources: Iterable[Source], provider: str) -> Knowledge:
    """What the files of a provider know of its way with credentials; a later file's word goes before an earlier one's.

    Only files that can speak of the provider are parsed.

    Raises:
        DetectorError: naming the file and the key.
    """
    name = re.compile(rb"\s*=\s*".join((rb"(?m)^provider", rb"['\"]+" + re.escape(provider.encode()) + rb"['\"]")))
    found = Knowledge()
    for source in sources:
        if (table := source.data.find(b"[knowledge")) >= 0 and name.search(source.data, 0, table):  # keys stand before tables
            file = _file(source)
            if file.provider == provider and file.knowledge is not None:
                said = {key: value for key in Knowledge.__struct_fields__ if (value := getattr(file.knowledge, key))}
                if file.knowledge.parallel is not None:
                    said["parallel"] = file.knowledge.parallel
                found = msgspec.structs.replace(found, **said)
    return found


def _file(source: Source) -> _File:
    try:
        document = tomllib.loads(source.data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DetectorError(f"{source.name}: this is no TOML: {error}") from error
    try:
        return msgspec.convert(document, _File)
    except msgspec.ValidationError as error:
        raise DetectorError(f"{source.name}: {_place(str(error), document)}") from error


def _parse(source: Source) -> list[Detector]:
    file = _file(source)
    return [_detector(source, file, entry) for entry in file.secret]


def _place(message: str, document: dict[str, object]) -> str:
    """msgspec's message with the number of the entry turned into the detector's id."""
    position = re.search(r"\$\.secret\[(\d+)\]", message)
    if not position:
        return message
    entries = document.get("secret")
    entry = entries[int(position[1])] if isinstance(entries, list) else None
    name = entry.get("id") if isinstance(entry, dict) else None
    return f"{name or 'entry ' + str(int(position[1]) + 1)}: {message.replace(position[0], '$')}"


def _wrong(source: Source, detector: str, key: str, what: str) -> DetectorError:
    return DetectorError(f"{source.name}: {detector}: {key}: {what}")


def _detector(source: Source, file: _File, entry: _Entry) -> Detector:
    def wrong(key: str, what: str) -> DetectorError:
        return _wrong(source, entry.id, key, what)

    if not _ID.fullmatch(entry.id):
        raise wrong("id", "lower-case words joined by '-' expected")
    if entry.boundary not in _BOUNDARIES:
        raise wrong("boundary", f"one of {', '.join(_BOUNDARIES)} expected, found {entry.boundary!r}")
    for key in ("expression", "lead", "before", "after"):
        try:
            node = expressions.parse(getattr(entry, key))
        except ExpressionError as error:
            raise wrong(key, str(error)) from error
        if key == "expression" and expressions.width(node)[0] < (2 if entry.before else 4):
            raise wrong(key, "at least 4 characters expected, 2 behind what `before` says")
    for keyword in entry.keywords:
        if sum(char.isalnum() for char in keyword) < LEAST_KEYWORD_LETTERS:
            raise wrong("keywords", f"{keyword!r}: at least {LEAST_KEYWORD_LETTERS} letters or digits expected")
        if keyword != keyword.lower() or not keyword.isascii():
            raise wrong("keywords", f"{keyword!r}: lower-case ASCII expected (any case is found)")
    if not entry.examples:
        raise wrong("examples", "at least one template with {secret} expected")
    for example in entry.examples:
        if "{secret}" not in example:
            raise wrong("examples", f"{example!r}: {{secret}} expected")
    if entry.entropy is not None and not 0 <= entry.entropy <= 8:
        raise wrong("entropy", "bits a character, 0 to 8, expected")
    fields = {name: getattr(entry, name) for name in _Entry.__struct_fields__}
    fields["assigned"] = bool(entry.keywords) if entry.assigned is None else entry.assigned
    fields["documentation"] = entry.documentation or file.documentation
    prefixes, least = _shown(entry.expression)
    return Detector(
        provider=file.provider,
        category=source.category,
        prefixes=prefixes,
        least_entropy=least if entry.entropy is None else entry.entropy,
        **fields,
    )


@lru_cache(maxsize=8192)
def _shown(expression: str) -> tuple[tuple[bytes, ...], float]:
    """The prefixes of an expression, and the least entropy that random matches show behind them, less a margin.

    Fair to digits, to hexadecimal, and to tokens of mixed segments alike. Many types share an expression, and more of them
    what stands behind the prefix.
    """
    node = expressions.parse(expression)
    prefixes = tuple(expressions.prefixes(node))
    fixed, behind = expressions.split_fixed(node)
    return prefixes, _least_entropy(behind, ()) if prefixes == (fixed,) else _least_entropy(node, prefixes)


@lru_cache(maxsize=8192)
def _least_entropy(node: expressions.Node, prefixes: tuple[bytes, ...]) -> float:
    rng = random.Random(0)
    secrets = [expressions.sample(node, rng) for _ in range(_ENTROPY_SAMPLES)]
    least = min(shannon(secret[len(longest_prefix(prefixes, secret)) :]) for secret in secrets)
    return round(_ENTROPY_MARGIN * least, 2)
