"""Playbooks as HTML: whole pages that need no script and nothing from elsewhere.

Every text is escaped where it is put into a page; only https addresses that :func:`service.web.document.is_sound` lets through
become links.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from service.records import Detector
from service.web.document import Block, Bullets, Code, Document, Facts, Fold, Links, Note, Paragraph, Steps, is_sound, pieces
from service.web.library import Group, Library

STYLE: Final = (Path(__file__).parent / "style.css").read_text("utf-8")


class Site(msgspec.Struct, frozen=True):
    """How pages find each other: ``root`` leads to the first page's folder, ``end`` is what a page's address ends with."""

    root: str = ""
    end: str = ""
    search: bool = True
    """True where a server answers the search form."""

    def to(self, *path: str) -> str:
        """The address of a page; the first page's without a path."""
        place = "/".join(path)
        return html.escape((self.root + place + self.end if place else self.root + self.end.lstrip("/")) or "./")


def alone(document: Document) -> str:
    """A playbook as one file that needs no other."""
    return _page(document.title, f"<main>{_article(document)}</main>", f"<style>{STYLE}</style>")


def playbook(site: Site, document: Document, library: Library) -> str:
    """A playbook's page."""
    category = next((group for group in library.categories if any(one.id == document.id for one in group.detectors)), None)
    provider = next((group for group in library.providers if group.label == document.provider), None)
    trail = [_link(site.to(), "Playbooks")]
    if category:
        trail.append(_link(site.to("category", category.slug), category.label))
    if provider:
        trail.append(_link(site.to("provider", provider.slug), provider.label))
    others = [one for one in provider.detectors if one.id != document.id] if provider else []
    more = f"<aside><h2>Other secrets of {_escape(document.provider)}</h2>{_list(site, others)}</aside>" if others else ""
    return _framed(site, f"{document.title} leaked: what to do", _article(document) + more, trail)


def front(site: Site, library: Library) -> str:
    """The first page: search, categories, providers."""
    categories = "".join(
        f"<li>{_link(site.to('category', group.slug), group.label)} <span>{len(group.detectors)}</span></li>"
        for group in library.categories
    )
    providers, letter = [], ""
    for group in library.providers:
        first = group.label[0].upper()
        first = first if first.isascii() and first.isalpha() else "#"
        if first != letter:
            providers.append(("</ul>" if letter else "") + f"<h3>{first}</h3><ul class='columns'>")
            letter = first
        one = group.detectors[0]
        target = site.to(one.id) if len(group.detectors) == 1 else site.to("provider", group.slug)
        count = f" <span>{len(group.detectors)}</span>" if len(group.detectors) > 1 else ""
        providers.append(f"<li>{_link(target, group.label)}{count}</li>")
    text = f"What to do when one of {len(library):,} types of secrets has leaked, of {len(library.providers):,} providers."
    body = (
        f"<h1>Playbooks</h1><p>{text} {_link(site.to('all'), 'All of them on one page')}.</p>"
        f"<h2>By category</h2><ul class='columns'>{categories}</ul><h2>By provider</h2>{''.join(providers)}</ul>"
    )
    return _framed(site, "Playbooks", body, [])


def group(site: Site, found: Group, what: str) -> str:
    """The page of a category, of a provider, or of all."""
    body = f"<h1>{_escape(found.label)}</h1><p>{_many(len(found.detectors))} {_escape(what)}</p>{_list(site, found.detectors)}"
    return _framed(site, found.label, body, [_link(site.to(), "Playbooks")])


def results(site: Site, words: str, found: Sequence[Detector], hint: str, most: int = 100) -> str:
    """What a search found; ``hint`` is shown where that is nothing."""
    if found:
        shown = f", the best {most} are shown" if len(found) > most else ""
        told = f"<p role='status'>{_many(len(found))} for “{_escape(words)}”{shown}.</p>{_list(site, found[:most])}"
    else:
        told = f"<p role='status'>Nothing for “{_escape(words)}”: {_escape(hint)}</p>"
    return _framed(site, f"Search: {words}", f"<h1>Search</h1>{told}", [_link(site.to(), "Playbooks")], words)


def missing(site: Site, hint: str) -> str:
    """The page of an address that leads nowhere."""
    body = f"<h1>There is no such playbook</h1><p>{_escape(hint)}</p>"
    return _framed(site, "There is no such playbook", body, [_link(site.to(), "Playbooks")])


def _page(title: str, body: str, style: str) -> str:
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_escape(title)} · Sluice</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta name="referrer" content="no-referrer">\n{style}\n</head>\n<body>\n{body}\n</body>\n</html>\n'
    )


def _framed(site: Site, title: str, body: str, trail: Sequence[str], words: str = "") -> str:
    form = (
        f"<form role='search' action='{site.to()}' method='get'><label for='q'>Search</label>"
        f"<input id='q' name='q' type='search' maxlength='100' value='{_escape(words)}'>"
        "<button>Find</button></form>"
        if site.search
        else ""
    )
    crumbs = "".join(f"<li>{step}</li>" for step in trail)
    where = f"<nav aria-label='You are here'><ol class='trail'>{crumbs}</ol></nav>" if crumbs else ""
    brand = f"<p class='brand'>{_link(site.to(), 'Sluice')}</p>"
    head = f"<header><a class='skip' href='#main'>Skip to the text</a>{brand}{form}</header>"
    foot = "<footer><p>Written by Sluice from its catalogue of secret types. It shows no secret.</p></footer>"
    style = f'<link rel="stylesheet" href="{html.escape(site.root)}style.css">'
    return _page(title, f"{head}\n<main id='main'>{where}{body}</main>\n{foot}", style)


def _article(document: Document) -> str:
    contents = "".join(f"<li><a href='#{section.id}'>{_escape(section.title)}</a></li>" for section in document.sections[1:])
    first, *rest = (
        f"<section id='{section.id}' aria-labelledby='{section.id}-title'>"
        f"<h2 id='{section.id}-title'>{_escape(section.title)}</h2>"
        f"{''.join(_blocks(section.blocks, 3))}</section>\n"
        for section in document.sections
    )
    return (
        f"<article><h1>{_escape(document.title)}</h1>"
        f"<p class='tags'><span class='severity {document.severity}'>{document.severity}</span>"
        f" <code>{_escape(document.id)}</code></p>"
        f"<p class='summary'>{_text(document.summary)}</p>"
        f"{first}<nav class='contents' aria-label='On this page'><ol>{contents}</ol></nav>\n{''.join(rest)}</article>"
    )


def _blocks(blocks: Iterable[Block], level: int) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, Paragraph):
            yield f"<p>{_text(block.text)}</p>"
        elif isinstance(block, Note):
            yield f"<p class='note'>{_text(block.text)}</p>"
        elif isinstance(block, Bullets):
            yield f"<ul>{''.join(f'<li>{_text(item)}</li>' for item in block.items)}</ul>"
        elif isinstance(block, Steps):
            yield f"<ol class='steps'>{''.join(f'<li>{_text(item)}</li>' for item in block.items)}</ol>"
        elif isinstance(block, Facts):
            rows = "".join(f"<div><dt>{_escape(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in block.rows)
            yield f"<dl>{rows}</dl>"
        elif isinstance(block, Links):
            rows = "".join(
                f"<li><a href='{_escape(address)}' rel='noreferrer noopener'>{_escape(told)}</a></li>"
                for told, address in block.rows
                if is_sound(address)
            )
            yield f"<ul>{rows}</ul>"
        elif isinstance(block, Code):
            # a region that scrolls has to be reached with the keyboard
            yield f"<pre tabindex='0'><code>{_escape(block.code)}</code></pre>"
        elif isinstance(block, Fold):
            inner = "".join(_blocks(block.blocks, level + 1))
            yield f"<details><summary>{_escape(block.title)}</summary>{inner}</details>"


def _list(site: Site, detectors: Sequence[Detector]) -> str:
    rows = "".join(
        f"<li>{_link(site.to(one.id), one.name)} <span class='severity {one.severity.value}'>{one.severity.value}</span>"
        f"{f'<br>{_escape(one.use)}' if one.use else ''}</li>"
        for one in detectors
    )
    return f"<ul class='types'>{rows}</ul>"


def _many(number: int) -> str:
    return f"{number:,} secret type{'' if number == 1 else 's'}"


def _link(address: str, text: str) -> str:
    return f"<a href='{address}'>{_escape(text)}</a>"


def _escape(text: str) -> str:
    return html.escape(text, quote=True)


def _text(text: str) -> str:
    return "".join(f"<code>{_escape(part)}</code>" if code else _escape(part) for part, code in pieces(text))
