"""What a playbook is made of: sections of blocks, the same for a terminal, Markdown, HTML and JSON.

Texts are plain, but for words in backticks, which are code. Nothing in them is markup of any output.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import msgspec

_CODE: Final = re.compile(r"`([^`]+)`")
_HOST: Final = re.compile(r"(?=.{4,253}$)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?:\.[a-z0-9-]{2,})(?::\d{1,5})?", re.IGNORECASE)


class Paragraph(msgspec.Struct, frozen=True, tag="paragraph"):
    """Running text."""

    text: str


class Note(msgspec.Struct, frozen=True, tag="note"):
    """A text that must not be missed."""

    text: str


class Bullets(msgspec.Struct, frozen=True, tag="bullets"):
    """A list without order."""

    items: Sequence[str]


class Steps(msgspec.Struct, frozen=True, tag="steps"):
    """A numbered list."""

    items: Sequence[str]


class Facts(msgspec.Struct, frozen=True, tag="facts"):
    """Names and what they are."""

    rows: Sequence[tuple[str, str]]


class Code(msgspec.Struct, frozen=True, tag="code"):
    """Something to be typed or copied. ``language`` is the name that highlighters use."""

    code: str
    language: str


class Links(msgspec.Struct, frozen=True, tag="links"):
    """Addresses, each with what is found there. Only sound https addresses come in."""

    rows: Sequence[tuple[str, str]]


class Fold(msgspec.Struct, frozen=True, tag="fold"):
    """A part that is opened when it is wanted; a heading where nothing can be folded."""

    title: str
    blocks: Sequence[Block]


Block: TypeAlias = Paragraph | Note | Bullets | Steps | Facts | Code | Links | Fold


class Section(msgspec.Struct, frozen=True):
    """A part of a playbook; ``id`` is stable and names it in links."""

    id: str
    title: str
    blocks: Sequence[Block]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A whole playbook."""

    id: str
    """The detector's."""
    title: str
    summary: str
    provider: str
    category: str
    severity: str
    sections: Sequence[Section]


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The text in order, each piece with True if it is code."""
    position = 0
    for found in _CODE.finditer(text):
        if found.start() > position:
            yield text[position : found.start()], False
        yield found[1], True
        position = found.end()
    if position < len(text):
        yield text[position:], False


def plain(text: str) -> str:
    """The text without its backticks."""
    return _CODE.sub(r"\1", text)


def is_sound(address: str) -> bool:
    """True for an https address with a host and no user name, which may become a link."""
    try:
        parts = urlsplit(address)
        host = parts.netloc
    except ValueError:
        return False
    return parts.scheme == "https" and bool(_HOST.fullmatch(host)) and not re.search(r"[\s<>\"'{}|\\^`\x00-\x1f]", address)


def texts(blocks: Sequence[Block]) -> Iterator[str]:
    """Every sentence that people read in the blocks; code left out."""
    for block in blocks:
        if isinstance(block, Paragraph | Note):
            yield block.text
        elif isinstance(block, Bullets | Steps):
            yield from block.items
        elif isinstance(block, Facts):
            yield from (text for _, text in block.rows)
        elif isinstance(block, Fold):
            yield from texts(block.blocks)


def as_json(document: Document) -> Any:
    """The document in plain objects, ready to be encoded."""
    return msgspec.to_builtins(document)
