"""From a record to its events: which envelope it is, and every string in it.

Nothing is refused. What has no known shape is JSON of unknown kind, or text. Only what hit is decoded, so this is written to
be read rather than to be fast, but bounded: a long value costs a few times its size and no recursion.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final, Protocol, cast

from service.decode import compressed, near, strings
from service.decode.envelopes import cloudevents, otlp, text
from service.records import Event, Origin, Record, Text

MOST_UNPACKED: Final = 2
"""Values inside values, compressed or carried by CloudEvents, are followed so deep."""

MOST_LINES: Final = 100_000
"""Lines of JSON in one value, taken apart; more of them are looked at as text."""

FAMILIES: Final = ("native", "otlp", "pushes", "debezium", "cloudevents", "shippers")
"""The files of JSON envelopes, the more particular before the more general."""


class Family(Protocol):
    """What a file of ``service/decode/envelopes/`` offers."""

    NAMES: tuple[str, ...]

    def recognise(self, document: dict[str, Any]) -> str | None:
        """The envelope's name if the document is one of this family."""

    def events(self, document: dict[str, Any], name: str) -> Iterator[Event]:
        """The events of such a document."""


@cache
def families() -> tuple[Family, ...]:
    """The families in their order."""
    return tuple(cast(Family, importlib.import_module(f"service.decode.envelopes.{name}")) for name in FAMILIES)


@cache
def envelopes() -> dict[str, Family | None]:
    """Every envelope by name, as a topic may fix it."""
    named: dict[str, Family | None] = {name: family for family in families() for name in family.NAMES}
    return named | dict.fromkeys((*text.NAMES, "json"))


def decode(record: Record, envelope: str | None = None, ends: Sequence[int] | None = None) -> Iterator[Event]:
    """The events of a record: those of its value, and one for its key and headers.

    Args:
        record: as it came.
        envelope: its name, where the topic fixes it; None to recognise it.
        ends: where in the value hits end, rising. What none comes near may be left out: an event that is has no texts, and
            stands only for being counted. All is given for None.

    Raises:
        UndecodableError: the value unpacks to more than is held in memory.
    """
    if record.value:
        outer = cloudevents.of_headers(record.headers)
        part = None if ends is None else near.Part(record.value, ends)
        for event in _value(record.value, envelope, 0, part):
            yield event if outer is None else Event(cloudevents.merged(outer, event.origin), event.texts)
    beside = [Text(record.key, "key")] if record.key else []
    names = []
    for name, content in record.headers:
        spelled = name.encode("utf-8", "surrogatepass")
        lent = spelled if content and not _glued(content) else None
        beside.append(Text(content or b"", f"headers.{name}", name=lent))
        if len(name) >= strings.LONG_NAME:
            names.append(Text(spelled, f"headers.{name}", kind="key"))
    beside += names  # behind the contents, so that a name does not lead one that it is not lent to
    if beside:
        yield Event(Origin(envelope="record"), beside)


def _glued(content: bytes) -> bool:
    """True if the length that stands between a header's name and this content on the wire reads as a letter or digit.

    Then name and content are one word there, and what is not seen on the wire is not looked for here.
    """
    return len(content) < 64 and chr(2 * len(content)).isalnum()


def _value(value: bytes, envelope: str | None, depth: int, part: near.Part | None = None) -> Iterator[Event]:
    packed = compressed.kind_of(value)
    if packed and depth < MOST_UNPACKED:
        unpacked = compressed.unpack(value, packed)
        if unpacked is not None:
            yield from _value(unpacked, envelope, depth + 1)
            return
    document = None if envelope in text.NAMES else _document(value)
    if isinstance(document, str) and depth < MOST_UNPACKED:
        yield from _value(document.encode("utf-8", "surrogatepass"), envelope, depth + 1)
        return
    if isinstance(document, dict):
        yield from _object(document, envelope, depth, part)
    elif isinstance(document, list):
        # batches of events come as arrays; each is looked at by itself, what is no object together
        parts = near.items(part, document) if part else None
        for index, item in enumerate(document):
            if parts is not None and parts[index] is None:
                yield from (_NOTHING,) if isinstance(item, dict) else ()
            elif isinstance(item, dict):
                yield from _object(item, envelope, depth, parts[index] if parts else None)
        rest = [item for item in document if not isinstance(item, dict)]
        if rest:
            yield Event(Origin(envelope="json"), list(strings.texts(rest)))
    else:
        found = otlp.decode(value) if value[:1] == b"\n" else None
        yield from found if found is not None else text.events(value)


_NOTHING: Final = Event(Origin(envelope="json"), ())


def _object(document: dict[str, Any], envelope: str | None, depth: int, part: near.Part | None) -> Iterator[Event]:
    fixed = envelopes().get(envelope) if envelope else None
    for family in (fixed,) if fixed is not None else families():
        name = family.recognise(document)
        if name is not None:
            yield from family.events(document, name)
            carried = cloudevents.payload(document) if family is cast(Any, cloudevents) else None
            if carried and depth < MOST_UNPACKED:
                yield from _value(carried, None, depth + 1)
            return
    origin = Origin(envelope="json", time=strings.first(document, *_TIMES))
    yield Event(origin, list(strings.texts(document if part is None else near.pruned(document, part))))


_TIMES: Final = ("time", "timestamp", "@timestamp", "ts")
_OPENINGS: Final = (b"{", b"[", b'"', b"\xef", b"\xff", b"\xfe")


def _document(value: bytes) -> Any:
    """The value as JSON; None if it is none. Tolerant of what writers get wrong: marks, bytes that are no UTF-8, lines."""
    head = value.lstrip()[:1]
    if head not in _OPENINGS:
        return None
    with contextlib.suppress(ValueError):
        return strings.parse(value)
    if head == b"{" and (lines := _lines(value)) is not None:
        return lines
    if not value.startswith(_MARKS) and _is_utf8(value):
        return None
    attempts: tuple[Callable[[], bytes], ...] = (
        lambda: value.decode("utf-8-sig").encode(),
        lambda: value.decode("utf-8", "replace").encode(),
        lambda: value[2:].decode("utf-16-le" if value[:1] == b"\xff" else "utf-16-be").encode(),
    )
    for attempt in attempts:
        with contextlib.suppress(ValueError):
            data = attempt()
            try:
                return strings.parse(data)
            except ValueError:
                if head == b"{" and (lines := _lines(data)) is not None:
                    return lines
    return None


_MARKS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _lines(data: bytes) -> list[Any] | None:
    """A document of JSON a line; None where it is none."""
    if not 1 <= data.count(b"\n") < MOST_LINES:
        return None
    try:
        return [strings.parse(line) for line in data.split(b"\n") if line.strip()]
    except ValueError:
        return None
