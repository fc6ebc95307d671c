"""The sentences of the playbooks, read once from ``detectors/playbooks/texts/``."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from service.detect.catalogue import BUILT_IN

FOLDER: Final = BUILT_IN / "playbooks"
RISKS: Final = ("unauthorized", "data", "money", "reputation")


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is true of every secret of one kind."""

    noun: str
    what: str
    made: str
    replace: str
    practices: Sequence[str]


class Category(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is true of a category of services; ``weight`` of each risk is 0 to 3."""

    label: str
    uses: Sequence[str]
    weight: Mapping[str, int]
    unauthorized: str
    data: str
    money: str
    reputation: str
    signs: Sequence[str]


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a secret can be found, and what that says of how it leaked."""

    id: str
    group: str
    title: str
    text: str
    match: str = ""
    type: str = ""


class Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way by which secrets leak."""

    title: str
    text: str


class Places(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All places, the most telling first, and the groups they belong to."""

    place: Sequence[Place]
    groups: Mapping[str, Group]

    def of(self, type_: str, path: str, field: str) -> Place | None:
        """What the place of an alert says, if it says anything."""
        for place in self.place:
            expression = re.compile(place.match, re.IGNORECASE) if place.match else None
            if place.type and place.type == type_ and (expression is None or expression.search(path)):
                return place
            if not place.type and expression is not None and (expression.search(path) or expression.search(field)):
                return place
        return None


def _read(name: str) -> bytes:
    return (FOLDER / "texts" / name).read_bytes()


@functools.cache
def kinds() -> Mapping[str, Kind]:
    """By the names of :class:`service.publish.remediation.Kind`."""
    return msgspec.convert(tomllib.loads(_read("kinds.toml").decode()), dict[str, Kind])


@functools.cache
def categories() -> Mapping[str, Category]:
    """By the names of the catalogue's folders."""
    return msgspec.convert(tomllib.loads(_read("categories.toml").decode()), dict[str, Category])


def category(name: str) -> Category:
    """Of a folder; one of a user's own that nobody described is among the others, under its own name."""
    known = categories()
    if name in known:
        return known[name]
    return msgspec.structs.replace(known["other"], label=name.replace("_", " ").replace("-", " ").capitalize())


@functools.cache
def places() -> Places:
    """What places say of leaks."""
    return msgspec.convert(tomllib.loads(_read("places.toml").decode()), Places)


@functools.cache
def sections() -> Mapping[str, Mapping[str, str | list[str]]]:
    """Sentences by section and name."""
    return msgspec.convert(tomllib.loads(_read("sections.toml").decode()), dict[str, dict[str, str | list[str]]])


def sentence(section: str, name: str, /, **values: str) -> str:
    """A sentence with its names filled in; what is filled in is not looked at again."""
    found = sections()[section][name]
    assert isinstance(found, str)
    return found.format_map(values)


def sentences(section: str, name: str) -> list[str]:
    """A list of sentences."""
    found = sections()[section][name]
    assert isinstance(found, list)
    return found
