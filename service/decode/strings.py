"""Every string of a JSON document, with its path, in its order.

No recursion: nesting costs a list, not the stack. A string that holds a JSON document itself is taken apart too, in place of
being one text, since a secret's keyword and value may only then stand side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from service.records import Text

MOST_DOCUMENTS: Final = 3
"""Documents inside strings are taken apart so deep."""

LONG_NAME: Final = 16
"""Names of members from this length on are texts of their own: a secret may be one."""

_decode: Final = msgspec.json.Decoder().decode


def parse(data: bytes | str) -> Any:
    """A JSON document.

    Raises:
        ValueError: it is none, or nested deeper than the parser goes.
    """
    try:
        return _decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise ValueError("no JSON") from error


def texts(document: Any, field: str = "") -> Iterator[Text]:
    """The strings and numbers of a document. ``field`` begins their paths."""
    waiting: list[tuple[Any, str, str | None, int]] = [(document, field, None, 0)]
    while waiting:
        value, path, name, depth = waiting.pop()
        if isinstance(value, str):
            inner = _document(value) if depth < MOST_DOCUMENTS else None
            if inner is None:
                yield Text(_utf8(value), path, name=_utf8(name) if name else None)
            else:
                waiting.append((inner, path, name, depth + 1))
        elif isinstance(value, dict):
            below = []
            for key, item in value.items():
                place = f"{path}.{key}" if path else key
                if len(key) >= LONG_NAME:
                    below.append((_Name(key), place, None, depth))
                below.append((item, place, key, depth))
            waiting += reversed(below)
        elif isinstance(value, list):
            # the first element goes on with the name of its list ("tokens": ["…"]), as near to it as on the wire
            waiting += [
                (item, f"{path}[{index}]", name if index == 0 else None, depth)
                for index, item in reversed(list(enumerate(value)))
            ]
        elif isinstance(value, _Name):
            yield Text(_utf8(value.text), path, kind="key")
        elif value is not None and not isinstance(value, bool):
            yield Text(str(value).encode(), path, name=_utf8(name) if name else None)


class _Name:
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _document(value: str) -> Any:
    head = value.lstrip()[:1]
    if head not in ("{", "["):
        return None
    try:
        inner = parse(value)
    except ValueError:
        return None
    return inner if isinstance(inner, dict | list) else None


def _utf8(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def at(document: Any, *path: str | int) -> str | None:
    """The string or number at a path of a document; None where there is none."""
    for step in path:
        if isinstance(step, str) and isinstance(document, dict):
            document = document.get(step)
        elif isinstance(step, int) and isinstance(document, list) and len(document) > step:
            document = document[step]
        else:
            return None
    if isinstance(document, str):
        return document
    return str(document) if isinstance(document, int | float) and not isinstance(document, bool) else None


def first(document: Any, *paths: tuple[str | int, ...] | str) -> str | None:
    """The first of several paths at which there is a string or number."""
    for path in paths:
        found = at(document, path) if isinstance(path, str) else at(document, *path)
        if found:
            return found
    return None
