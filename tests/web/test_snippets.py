"""Code that reads a secret: sound in its language under every name that the catalogue gives, and without any value in it."""

import ast
import functools
import re
from collections.abc import Callable

import pytest
import tree_sitter_bash
import tree_sitter_c_sharp
import tree_sitter_go
import tree_sitter_java
import tree_sitter_javascript
import tree_sitter_php
import tree_sitter_ruby
from tree_sitter import Language, Parser

from service.records import Detector, Severity
from service.web import snippets
from service.web.library import Library
from service.web.snippets import STORES, Names

GRAMMARS: dict[str, Callable[[], object]] = {
    "javascript": tree_sitter_javascript.language,
    "java": tree_sitter_java.language,
    "go": tree_sitter_go.language,
    "ruby": tree_sitter_ruby.language,
    "csharp": tree_sitter_c_sharp.language,
    "php": tree_sitter_php.language_php,
    "shell": tree_sitter_bash.language,
}
NAMES = Names("WEPAY_ACCESS_TOKEN", "prod/wepay", "access_token", "accessToken", "AccessToken")


def detector(identity: str, provider: str, *examples: str) -> Detector:
    return Detector(
        id=identity,
        name="x",
        provider=provider,
        category="cloud",
        severity=Severity.high,
        expression="x{20}",
        examples=examples,
    )


def sound(language: str, code: str) -> bool:
    if language == "python":
        try:
            ast.parse(code)
        except SyntaxError:
            return False
        return True
    return not parser(language).parse(code.encode()).root_node.has_error


@functools.cache
def parser(language: str) -> Parser:
    return Parser(Language(GRAMMARS[language]()))


def test_the_parsers_refuse_what_is_wrong() -> None:
    assert not any(sound(language, '<?php (] { "') for language in snippets.languages())


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("language", list(snippets.languages()))
def test_each_is_sound_in_its_language_and_has_the_secrets_own_names(language: str, store: str) -> None:
    found = snippets.render(language, store, NAMES)

    assert sound(language, found.code)
    assert "xample" not in found.code
    if store == "environment" or language == "shell":
        assert "WEPAY_ACCESS_TOKEN" in found.code
    if store != "environment":
        assert "prod/wepay" in found.code
        assert "access_token" in found.code


@pytest.mark.parametrize("store", STORES[1:])
@pytest.mark.parametrize("language", list(snippets.languages()))
def test_what_has_to_be_installed_is_said(language: str, store: str) -> None:
    """The languages that speak HTTP by themselves need nothing for Conjur."""
    needless = store == "conjur" and language in ("javascript", "java", "csharp")

    assert bool(snippets.render(language, store, NAMES).install) is not needless


def test_every_detector_has_names_that_are_names(library: Library) -> None:
    for one in library.detectors:
        called = snippets.names(one)
        assert re.fullmatch(r"[A-Z_][A-Z0-9_]*", called.variable), one.id
        assert re.fullmatch(r"prod/[a-z0-9-]+", called.path), one.id
        assert re.fullmatch(r"[a-z][a-z0-9_]*", called.field), one.id
        assert re.fullmatch(r"[a-z][A-Za-z0-9]*", called.camel), one.id
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]*", called.pascal), one.id


def test_no_name_of_the_catalogue_is_a_word_of_a_language(library: Library) -> None:
    for names in {names.field: names for names in map(snippets.names, library.detectors)}.values():
        for language in snippets.languages():
            assert sound(language, snippets.render(language, "environment", names).code), (language, names)


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (
            detector("acme-api-key", "Acme", "ACME_API_KEY={secret}"),
            Names("ACME_API_KEY", "prod/acme", "api_key", "apiKey", "ApiKey"),
        ),
        (detector("acme-api-key", "Acme", "key: {secret}"), Names("ACME_API_KEY", "prod/acme", "api_key", "apiKey", "ApiKey")),
        (
            detector("1password-token", "1Password", "token {secret}"),
            Names("_1PASSWORD_TOKEN", "prod/1password", "the_1password_token", "the1passwordToken", "The1passwordToken"),
        ),
        (
            detector("acme-key", "Acme", "NEXT_PUBLIC_ACME_KEY={secret}"),
            Names("ACME_KEY", "prod/acme", "acme_key", "acmeKey", "AcmeKey"),
        ),
    ],
)
def test_names_come_from_the_examples_or_the_id(found: Detector, names: Names) -> None:
    assert snippets.names(found) == names


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("a/b.py", "python"),
        ("a/B.TSX", "javascript"),
        ("go.mod", "go"),
        ("x/Dockerfile", "shell"),
        ("a.unknown", None),
        ("", None),
    ],
)
def test_the_language_of_a_file_is_told_by_its_name(path: str, language: str | None) -> None:
    assert snippets.language_of(path) == language
