"""Code that reads a secret instead of hard-coding it: programs about an "Example token", with the names replaced.

The programs are files of ``detectors/playbooks/snippets/``: ``<language>/<store>.<suffix>``, and ``languages.toml`` says how a
language is called and what has to be installed. They run as they are, and tests run them.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from service.records import Detector
from service.web.texts import FOLDER

STORES: Final = ("environment", "aws", "vault", "conjur")
_ASSIGNED: Final = re.compile(r"(?:^|[\s\"'])([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\s*[=:]\s*[\"']?\{secret\}")
_PLACEHOLDERS: Final = {
    "EXAMPLE_TOKEN": "variable",
    "example-provider": "path",
    "example_token": "field",
    "exampleToken": "camel",
    "ExampleToken": "pascal",
}
_PLACEHOLDER: Final = re.compile("|".join(_PLACEHOLDERS))


class Language(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a language is called, how its files end, and the line that installs the client of each store."""

    label: str
    suffix: str
    highlight: str
    files: Sequence[str]
    """Endings of files, to tell the language of a place."""
    install: Mapping[str, str] = {}


class Names(msgspec.Struct, frozen=True):
    """What a secret is called: ``WEPAY_ACCESS_TOKEN``, ``prod/wepay``, ``access_token``, ``accessToken``, ``AccessToken``."""

    variable: str
    path: str
    field: str
    camel: str
    pascal: str


class Snippet(msgspec.Struct, frozen=True):
    """A program and the line that installs what it needs (empty if nothing)."""

    language: Language
    store: str
    install: str
    code: str


@functools.cache
def languages() -> Mapping[str, Language]:
    """By name, in the order in which they are shown."""
    return msgspec.convert(tomllib.loads((FOLDER / "snippets" / "languages.toml").read_text("utf-8")), dict[str, Language])


@functools.cache
def _template(language: str, store: str) -> str:
    return (FOLDER / "snippets" / language / f"{store}.{languages()[language].suffix}").read_text("utf-8").strip()


def names(detector: Detector) -> Names:
    """The names of the detector's secret: those of its examples where they tell, else those of its id."""
    own_name = not detector.is_generic and detector.category != "private_key"
    provider = (re.sub(r"[^a-z0-9]+", "-", detector.provider.lower()).strip("-") if own_name else "app") or "service"
    variable = next((found[1] for example in detector.examples if (found := _ASSIGNED.search(example))), "")
    if not variable:
        variable = re.sub(r"[^A-Z0-9]+", "_", detector.id.upper()).strip("_")
    if not own_name:
        variable = re.sub(r"^GENERIC_", "APP_", variable)
    variable = re.sub(r"^(?:NEXT_PUBLIC|REACT_APP|VITE|NUXT_PUBLIC|EXPO_PUBLIC|GATSBY|VUE_APP)_", "", variable)
    if variable[0].isdigit():
        variable = f"_{variable}"
    words = [word for word in variable.lower().split("_") if word]
    own = [word for word in provider.split("-") if word]
    kept = words[next((n for n, word in enumerate(words) if word not in own), 0) :] or words
    if len(kept) < 2 and len(words) >= 2:
        kept = words[-2:]
    if kept[0][0].isdigit():
        kept = ["the", *kept]
    field = "_".join(kept)
    pascal = "".join(word.capitalize() for word in kept)
    return Names(variable, f"prod/{provider}", field, kept[0] + pascal[len(kept[0]) :], pascal)


def render(language: str, store: str, called: Names) -> Snippet:
    """The program of a language for a store, with the secret's own names."""
    about = languages()[language]
    code = _PLACEHOLDER.sub(lambda found: str(getattr(called, _PLACEHOLDERS[found[0]])), _template(language, store))
    return Snippet(about, store, about.install.get(store, ""), code)


def language_of(path: str) -> str | None:
    """The language in which a file is written, if it is one of ours."""
    name = path.lower().rsplit("/", 1)[-1]
    return next((key for key, about in languages().items() if name.endswith(tuple(about.files))), None)
