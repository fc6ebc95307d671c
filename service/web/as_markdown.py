"""A playbook in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from service.web.document import Block, Bullets, Code, Document, Facts, Fold, Links, Note, Paragraph, Steps, pieces

_MARKUP: Final = re.compile(r"([\\*_{}\[\]<>#|~!&])")


def render(document: Document) -> str:
    """The whole playbook; nothing in its texts can become markup or HTML."""
    lines = [f"# {_text(document.title)}", "", f"**{_text(document.summary)}**", ""]
    for section in document.sections:
        lines += [f"## {_text(section.title)}", "", *_blocks(section.blocks, 3)]
    return "\n".join(lines).rstrip() + "\n"


def _blocks(blocks: Sequence[Block], level: int) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Paragraph):
            yield _text(block.text)
        elif isinstance(block, Note):
            yield f"> {_text(block.text)}"
        elif isinstance(block, Bullets):
            yield from (f"- {_text(item)}" for item in block.items)
        elif isinstance(block, Steps):
            yield from (f"{number}. {_text(item)}" for number, item in enumerate(block.items, 1))
        elif isinstance(block, Facts):
            yield from (f"- **{_text(name)}**: {_text(value)}" for name, value in block.rows)
        elif isinstance(block, Links):
            yield from (f"- [{_text(told)}]({address})" for told, address in block.rows)
        elif isinstance(block, Code):
            fence = "`" * max(3, max((len(run) + 1 for run in re.findall("`+", block.code)), default=0))
            yield f"{fence}{block.language}\n{block.code}\n{fence}"
        elif isinstance(block, Fold):
            yield f"{'#' * level} {_text(block.title)}\n"
            yield from _blocks(block.blocks, level + 1)
            continue
        yield ""


def _text(text: str) -> str:
    shown = "".join(char for char in " ".join(text.split()) if char.isprintable())
    return "".join(f"`{part}`" if code else _MARKUP.sub(r"\\\1", part) for part, code in pieces(shown))
