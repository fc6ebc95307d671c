"""A playbook on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from service.web.document import Block, Bullets, Code, Document, Facts, Fold, Links, Note, Paragraph, Steps, pieces

_SEVERITIES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "green"}


def show(document: Document, console: Console) -> None:
    """Prints the playbook; nothing in its texts can become markup or a control sequence."""
    head = Text(_clean(document.title), "bold")
    head.append(f"  {document.severity}", _SEVERITIES.get(document.severity, ""))
    head.append(f"  {document.id}", "dim")
    console.print(head)
    console.print(_text(document.summary))
    for section in document.sections:
        console.print()
        console.print(Text(_clean(section.title), "bold underline"))
        for block in _blocks(section.blocks):
            # what will be copied is not cut into lines
            console.print(block, soft_wrap=isinstance(block, Text) and block.no_wrap is True)


def _blocks(blocks: Sequence[Block]) -> Iterator[RenderableType]:
    for block in blocks:
        if isinstance(block, Paragraph):
            yield _text(block.text)
        elif isinstance(block, Note):
            yield Padding(_text(block.text, "bold"), (0, 0, 0, 2))
        elif isinstance(block, Bullets | Steps):
            rows = Table.grid(padding=(0, 1))
            for number, item in enumerate(block.items, 1):
                rows.add_row(f" {number}." if isinstance(block, Steps) else " •", _text(item))
            yield rows
        elif isinstance(block, Facts):
            rows = Table.grid(padding=(0, 2))
            for name, value in block.rows:
                rows.add_row(Text(f" {_clean(name)}", "dim"), _text(value))
            yield rows
        elif isinstance(block, Links):
            for told, address in block.rows:
                yield Text(f" {_clean(told)}: ").append(address, "cyan underline")
        elif isinstance(block, Code):
            lines = Syntax("", block.language, theme="ansi_dark").highlight(_clean(block.code, "\n\t")).split("\n")
            for line in lines[:-1] if lines and not lines[-1].plain else lines:
                line.rstrip()
                yield Text("    ", no_wrap=True).append_text(line)
        elif isinstance(block, Fold):
            yield Text(_clean(block.title), "bold")
            yield from _blocks(block.blocks)


def _text(text: str, style: str = "") -> Text:
    whole = Text("", style)
    for part, code in pieces(text):
        whole.append(_clean(part), "cyan" if code else None)
    return whole


def _clean(text: str, kept: str = "") -> str:
    """Without control characters, which could steer the terminal."""
    return "".join(char if char.isprintable() or char in kept else "\N{REPLACEMENT CHARACTER}" for char in text)
