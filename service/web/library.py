"""All playbooks: found by id, by provider, by category and by words."""

from __future__ import annotations

import contextlib
import difflib
import functools
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from service.detect import catalogue
from service.errors import DetectorError, SluiceError
from service.records import Detector, Knowledge
from service.web import playbook, texts
from service.web.document import Document
from service.web.playbook import Alert


class Group(msgspec.Struct, frozen=True):
    """Detectors that belong together: ``slug`` names them in an address, ``label`` for people."""

    slug: str
    label: str
    detectors: Sequence[Detector]


class Library:
    """The playbooks of a catalogue. What is known of providers is read from the files when it is first asked for."""

    def __init__(self, detectors: Iterable[Detector], folders: Iterable[Path] = ()) -> None:
        self.detectors = sorted(detectors, key=lambda one: (one.provider.lower(), one.id))
        self._folders = (catalogue.BUILT_IN, *folders)
        self._by_id = {detector.id: detector for detector in self.detectors}
        self._known: dict[str, Knowledge] = {}

    def __len__(self) -> int:
        return len(self.detectors)

    def __contains__(self, wanted: object) -> bool:
        return wanted in self._by_id

    def detector(self, wanted: str) -> Detector:
        """By id.

        Raises:
            SluiceError: there is none; the text names near ones.
        """
        found = self._by_id.get(wanted)
        if found is None:
            raise SluiceError(f"{wanted}: there is no such secret type; {self.nearest(wanted)}")
        return found

    def nearest(self, wanted: str) -> str:
        """What was probably meant, for the end of an error's text."""
        words = wanted.lower().replace("_", "-").replace(" ", "-")
        near = difflib.get_close_matches(words, self._by_id, 3) or [found.id for found in self.search(wanted)[:3]]
        return f"did you mean {', '.join(near)}?" if near else "`sluice detectors list` shows all"

    def knowledge(self, provider: str) -> Knowledge:
        """What the catalogue's files know of a provider; nothing where a file has been spoilt since it was loaded."""
        found = self._known.get(provider)
        if found is None:
            try:
                found = catalogue.knowledge(self._sources, provider)
            except DetectorError:
                found = Knowledge()
            self._known[provider] = found
        return found

    def read(self) -> None:
        """Reads the files now, which :meth:`knowledge` otherwise does when it is first asked."""
        with contextlib.suppress(DetectorError):
            _ = self._sources

    @functools.cached_property
    def _sources(self) -> list[catalogue.Source]:
        return [source for source in catalogue.read(self._folders) if b"[knowledge" in source.data]

    def playbook(self, detector: Detector, alert: Alert | None = None, languages: Sequence[str] = ()) -> Document:
        """The playbook of one secret type."""
        return playbook.write(detector, self.knowledge(detector.provider), alert, languages)

    @functools.cached_property
    def categories(self) -> Sequence[Group]:
        """By label."""
        return _groups(self.detectors, lambda one: one.category, lambda name: texts.category(name).label)

    @functools.cached_property
    def providers(self) -> Sequence[Group]:
        """By name."""
        return _groups(self.detectors, lambda one: one.provider, lambda name: name)

    def search(self, words: str) -> list[Detector]:
        """The detectors in which every word is found, the best first: in the id or the name before provider and use."""
        wanted = [word for word in re.split(r"[^a-z0-9]+", words.lower()) if word][:8]
        if not wanted:
            return []
        ranked = []
        for detector, name, text in self._index:
            if all(word in name or word in text for word in wanted):
                rank = sum((word not in name) + (f" {word}" not in f" {name}") for word in wanted)
                ranked.append((rank, len(name), detector.id, detector))
        ranked.sort(key=lambda item: item[:3])
        return [detector for *_, detector in ranked]

    @functools.cached_property
    def _index(self) -> list[tuple[Detector, str, str]]:
        return [
            (
                one,
                re.sub(r"[^a-z0-9]+", " ", f"{one.id} {one.name} {one.provider}".lower()),
                re.sub(r"[^a-z0-9]+", " ", f"{texts.category(one.category).label} {one.use} {' '.join(one.keywords)}".lower()),
            )
            for one in self.detectors
        ]


def _groups(detectors: Sequence[Detector], of: Callable[[Detector], str], label: Callable[[str], str]) -> list[Group]:
    found: dict[str, list[Detector]] = {}
    for detector in detectors:
        found.setdefault(of(detector), []).append(detector)
    taken: dict[str, int] = {}
    groups = []
    for name in sorted(found, key=lambda name: (label(name).lower(), name)):
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "other"
        taken[slug] = taken.get(slug, 0) + 1
        groups.append(Group(slug if taken[slug] == 1 else f"{slug}-{taken[slug]}", label(name), found[name]))
    return groups
