"""The one database: all detectors, their encoded forms, and the marks of compressed values.

Compiling takes a second or more, so the compiled database is cached on disk together with the parsed detectors, keyed by
everything that it depends on: the content of the detector files, the code that turns them into expressions, the version
of the engine, and the CPU. A cache file is written aside and renamed, carries a digest, and is rebuilt when anything about
it is wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Final

import hyperscan
import msgspec

from service.detect import assignment, encodings, expressions
from service.detect.expressions import Node
from service.errors import DatabaseError
from service.records import Detector

GAP_CHARACTERS: Final = 40
"""A keyword stands at most so far before its secret, in decoded text."""

GAP_ESCAPABLE: Final = 12
"""At most so many characters of that gap are of a kind that a writer of JSON may escape."""

_WIRE_GAP: Final = GAP_CHARACTERS - GAP_ESCAPABLE + 8 * GAP_ESCAPABLE
"""The same gap on the wire: an escaped character takes up to eight bytes in JSON that stands inside JSON."""

NO_WORD: Final = "no detector has a keyword"
"""What stands in the table of words where it would be empty: the engine refuses a database of nothing."""

_SEPARATORS: Final = ("_", " ", "-", ".", "")

COMPRESSED: Final = {
    "gzip": r"\x1f\x8b\x08",
    "zstd": r"\x28\xb5\x2f\xfd",
    "lz4": r"\x04\x22\x4d\x18",
    "snappy": r"\xff\x06\x00\x00sNaPpY",
}
"""How compressed values begin: a record that holds one is decoded, since nothing in it can be matched as it is."""

OPAQUE: Final = r'(?:data_base64|bytesValue)\x5c*"'
"""Members of CloudEvents and OTLP whose base64 can hold what has no prefix to be known by."""


class Pattern(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One expression of the database.

    ``detector`` is an index, -1 where it stands for no single one; ``kind`` is ``plain``, ``mark``, ``assignment`` or the
    name of an encoding; ``length`` and ``phase`` are those of :class:`service.detect.encodings.Image`.
    """

    detector: int
    kind: str
    expression: str
    length: int = 0
    phase: int = 0


def _beginnings(detector: Detector) -> tuple[bytes, ...]:
    """The literals with one of which every secret of a detector begins; empty where they begin with anything."""
    starts = expressions.paths(expressions.parse(detector.expression), longest=1)
    return tuple(detector.prefixes) if all(path and len(path[0]) == 1 for path in starts) else ()


class _Stored(msgspec.Struct, array_like=True):
    detectors: list[Detector]
    patterns: list[Pattern]
    compiled: bytes
    words: bytes


class Database:
    """Detectors and their patterns, compiled. A pattern's index is the engine's id of it.

    ``words`` is a small table beside it: the keywords of detectors whose secrets are assigned, looked for only around an
    assignment. ``keywords`` has them by their ids, ``owners`` for each the indices of the detectors whose it is.
    """

    def __init__(
        self,
        detectors: Sequence[Detector],
        patterns: Sequence[Pattern],
        compiled: hyperscan.Database,
        words: hyperscan.Database,
    ) -> None:
        self.detectors = detectors
        self.patterns = patterns
        self.compiled = compiled
        self.words = words
        self.keywords, self.owners = map(list, zip(*_keywords(detectors).items(), strict=True))
        self.always = {
            index: _beginnings(detector)
            for index, detector in enumerate(detectors)
            if detector.assigned and not detector.keywords
        }
        """The detectors that every assignment concerns, and with what their secrets begin."""

    @property
    def size(self) -> int:
        """Bytes of the compiled database."""
        return int(self.compiled.size())


def spellings(keyword: str) -> list[str]:
    """The ways to write a keyword: a blank or ``_`` in it stands for a blank, ``_``, ``-``, ``.`` or nothing, throughout."""
    parts = keyword.replace("_", " ").split(" ")
    return [separator.join(parts) for separator in _SEPARATORS] if len(parts) > 1 else [keyword]


def keyword_expression(keyword: str) -> str:
    """A keyword in any case.

    Written out as alternatives: the engine then looks for whole words and not for the short parts between the blanks.
    """
    return f"(?i:{'|'.join(''.join(map(expressions.char, word.encode())) for word in spellings(keyword))})"


def _keywords(detectors: Sequence[Detector]) -> dict[str, list[int]]:
    """Each keyword that is looked for around assignments, with the detectors whose it is."""
    found: dict[str, list[int]] = {}
    for index, detector in enumerate(detectors):
        if detector.assigned:
            for keyword in detector.keywords:
                found.setdefault(keyword, []).append(index)
    return found or {NO_WORD: []}


def tree(detector: Detector) -> Node:
    """What stands at the secret's place: ``before``, the secret, ``after``."""
    return expressions.concatenate(*map(expressions.parse, (detector.before, detector.expression, detector.after)))


def patterns(detectors: Sequence[Detector]) -> Iterator[Pattern]:
    """All expressions that stand for the detectors."""
    for index, detector in enumerate(detectors):
        if detector.assigned:
            continue
        node = tree(detector)
        if detector.keywords:
            plain = expressions.wire(node)
            for keyword in detector.keywords:
                yield Pattern(index, "plain", f"{keyword_expression(keyword)}.{{0,{_WIRE_GAP}}}{plain}")
            continue
        rare = expressions.from_rare_run(node)
        for beginning in (rare,) if detector.is_generic else expressions.beginnings(rare):
            yield Pattern(index, "plain", expressions.wire(beginning))
        encoded = expressions.percent(node)
        if encoded is not None and any(len(prefix) >= 4 for prefix in expressions.prefixes(node)):
            yield Pattern(index, "plain", expressions.wire(expressions.from_rare_run(encoded)))
        if detector.is_generic:  # nothing fixed but words of the language
            continue
        seen = set()
        for path in expressions.paths(node):
            for image in encodings.images(path):
                if image not in seen:
                    seen.add(image)
                    yield Pattern(index, image.kind, image.expression, image.length, image.phase)
    for expression in assignment.WIRE:
        yield Pattern(-1, "assignment", expression)
    for expression in COMPRESSED.values():
        yield Pattern(-1, "mark", expression)
    yield Pattern(-1, "mark", OPAQUE)
    yield Pattern(-1, "unicode-escape", encodings.UNICODE_ESCAPES)
    yield Pattern(-1, "base64", "H4sI[A-P][A-Za-z0-9+/_-]{30}", 35, 0)


def compile_patterns(found: Sequence[str]) -> hyperscan.Database:
    """Compiles expressions into one database in block mode.

    Raises:
        DatabaseError: naming the expression that the engine refuses, where it says which.
    """
    compiled = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    try:
        compiled.compile(
            expressions=[expression.encode("latin-1") for expression in found],
            ids=list(range(len(found))),
            elements=len(found),
            flags=[hyperscan.HS_FLAG_DOTALL] * len(found),
        )
    except hyperscan.error as error:
        raise DatabaseError(f"the engine refuses an expression: {error}") from error
    return compiled


def compile_words(keywords: Sequence[str]) -> hyperscan.Database:
    """Compiles keywords, in all their spellings and any case; the id of each is its index."""
    written = [(word.encode(), index) for index, keyword in enumerate(keywords) for word in spellings(keyword)]
    compiled = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    compiled.compile(
        expressions=[word for word, _ in written],
        ids=[index for _, index in written],
        elements=len(written),
        flags=[hyperscan.HS_FLAG_CASELESS] * len(written),
        literal=True,
    )
    return compiled


def build(detectors: Sequence[Detector]) -> Database:
    """Makes the database from nothing.

    Raises:
        DatabaseError: the engine refuses an expression; the text names the detector where it is one alone.
    """
    found = list(patterns(detectors))
    try:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="words") as beside:  # the engine lets go of the lock
            words = beside.submit(compile_words, list(_keywords(detectors)))
            compiled = compile_patterns([pattern.expression for pattern in found])
        return Database(detectors, found, compiled, words.result())
    except DatabaseError:
        for pattern in found:
            try:
                compile_patterns([pattern.expression])
            except DatabaseError as error:
                name = detectors[pattern.detector].id if pattern.detector >= 0 else "of no detector"
                raise DatabaseError(f"{name}: {pattern.kind}: {error}") from error
        raise


# -- cache -------------------------------------------------------------------------------------------------------------


def _cpu() -> str:
    """What the compiled code of the engine depends on."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
        for line in info:
            if line.startswith(("flags", "Features")):
                return f"{platform.machine()} {line}"
    return f"{platform.machine()} {platform.processor()}"


def cache_key(content_digest: str) -> str:
    """The name of the cached database for detector files of this digest, on this machine."""
    # what is made of the same detectors follows from the code of this folder and of the shared words
    here = Path(__file__).parent
    code = hashlib.sha256()
    for path in (*sorted(here.glob("*.py")), here.parent / "records.py"):
        code.update(path.read_bytes())
    parts = (code.hexdigest(), content_digest, metadata.version("hyperscan"), str(hyperscan.HS_MODE_BLOCK), _cpu())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def cache_folder() -> Path:
    """Where databases are kept: ``$SLUICE_CACHE``, or ``sluice`` in the user's cache folder."""
    given = os.environ.get("SLUICE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(given) if given else Path(base) / "sluice"


def load(content_digest: str, detectors: Callable[[], Sequence[Detector]], folder: Path | None = None) -> Database:
    """The database from the cache, or built and put there.

    A cache that is missing, damaged or made by another engine is rebuilt; one that cannot be written is no error.

    Args:
        content_digest: what :func:`service.detect.catalogue.digest` says of the files.
        detectors: parses them; called only when the cache does not serve.
        folder: where the cache is; :func:`cache_folder` if None.

    Raises:
        DatabaseError: the engine refuses an expression.
        DetectorError: a file is wrong.
    """
    path = (folder or cache_folder()) / f"{cache_key(content_digest)}.database"
    cached = _read(path)
    if cached is not None:
        return cached
    database = build(detectors())
    compiled, words = hyperscan.dumpb(database.compiled), hyperscan.dumpb(database.words)
    stored = _Stored(list(database.detectors), list(database.patterns), compiled, words)
    with contextlib.suppress(OSError):
        _write(path, msgspec.msgpack.encode(stored))
    return database


def _read(path: Path) -> Database | None:
    try:
        data = path.read_bytes()
        body = memoryview(data)[32:]
        if hashlib.sha256(body).digest() != data[:32]:
            return None
        stored = msgspec.msgpack.decode(body, type=_Stored)
        compiled = hyperscan.loadb(stored.compiled, hyperscan.HS_MODE_BLOCK)
        words = hyperscan.loadb(stored.words, hyperscan.HS_MODE_BLOCK)
    except (OSError, msgspec.MsgspecError, hyperscan.error):
        return None
    return Database(stored.detectors, stored.patterns, compiled, words)


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(body).digest())
            file.write(body)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
