"""Detectors for the engine's own tests, each of another sort."""

import pytest

from service.decode import layers
from service.detect import catalogue, database
from service.detect.catalogue import Source
from service.detect.database import Database
from service.detect.scanner import Scanner

FILE = r"""
provider = "Acme"
documentation = "https://acme.invalid/docs"

[[secret]]
id = "acme-token"
name = "Acme token"
severity = "high"
expression = 'acme_(?:live|test)_[A-Za-z0-9]{32}'
examples = ["ACME={secret}"]

[[secret]]
id = "acme-legacy-key"
name = "Acme legacy key"
severity = "high"
expression = '[a-f0-9]{32}'
keywords = ["acmecorp", "acme legacy"]
assigned = false
examples = ["acmecorp_key: {secret}"]

[[secret]]
id = "acme-secret"
name = "Acme secret"
severity = "high"
expression = '[A-Za-z0-9+/]{40}'
keywords = ["acmesecret"]
assigned = false
examples = ["acmesecret={secret}"]

[[secret]]
id = "acme-url"
name = "Acme password in a URL"
severity = "high"
before = 'acme://[a-z]{1,20}:'
expression = '[^\s/"@]{6,60}'
after = '@[a-z]'
entropy = 0
examples = ["acme://bob:{secret}@db"]

[[secret]]
id = "acme-store-password"
name = "Acme password in a connection string"
severity = "high"
lead = 'Store=[^;]{1,40}(?:;[^;]{1,40}){0,4}'
before = ';Phrase='
expression = '[^;"]{6,60}'
boundary = "none"
entropy = 0
examples = ["Store=db1;User=bob;Phrase={secret};"]
"""


@pytest.fixture(scope="session")
def acme() -> Database:
    return database.build(catalogue.load([Source("cloud", "cloud/acme.toml", FILE.encode())]))


@pytest.fixture
def scanner(acme: Database) -> Scanner:
    return Scanner(acme, layers.unwrap)
