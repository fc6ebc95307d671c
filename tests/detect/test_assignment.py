"""What counts as a value that is assigned to a name that says secret: the engine and the second pass agree on it."""

import random

import pytest

from service.detect import assignment, database, expressions

VALUE = expressions.sample(expressions.parse("[a-z]{4}[0-9][A-Za-z0-9]{19}"), random.Random(1)).decode()
DATABASE = database.compile_patterns(assignment.WIRE)


def wire(text: bytes) -> list[int]:
    ends: list[int] = []
    DATABASE.scan(text, match_event_handler=lambda pattern, start, end, *rest: ends.append(end) and None)
    return ends


ASSIGNED = [
    "TOKEN={}",
    'token = "{}"',
    '"token": "{}"',
    "tokens:\n  - {}",
    "token_2 := '{}'",
    'tokenValue = "{}"',
    "--api-token {}",
    "-vaultToken {}",
    "ENV ACME_TOKEN {}",
    "Authorization: Bearer {}",
    "Authorization: Token {}",
    "Authorization: {}",
    "- name: ACME_SECRET\n  value: {}",
    "<secret>{}</secret>",
    'clientSecret => "{}"',
    'os.environ["API_KEY"] = "{}"',
    "https://api.acme.invalid/v1?key={}",
    "config(key = '{}')",
    "privateKey: {}",
    "license_key: {}",
    'variable "acme_token" {{\n  default = "{}"\n}}',
    "password\\u003d{}",
    "api_key%3D{}",
]


@pytest.mark.parametrize("template", ASSIGNED)
def test_an_assigned_value_is_seen_by_both(template: str) -> None:
    text = template.format(VALUE).encode()

    assert wire(text)
    assert list(assignment.values(text.replace(b"\\u003d", b"=").replace(b"%3D", b"=")))


@pytest.mark.parametrize(
    "text",
    [
        f"tokenizer = {VALUE}",
        f"no key {VALUE} in token cache {VALUE}",
        f"the token was sent to {VALUE}",
        f"keyboard: {VALUE}",
        "token = some_function_of_ours(argument)",
        'license_key: "secret-labs-2011.txt"',
    ],
)
def test_what_is_no_assignment_of_a_random_value_is_seen_by_none(text: str) -> None:
    assert not wire(text.encode())
    assert not list(assignment.values(text.encode()))


@pytest.mark.parametrize("template", ASSIGNED[:-2])
def test_where_a_value_begins_is_said_exactly(template: str) -> None:
    text = template.format(VALUE).encode()

    assert text.index(VALUE.encode()) in [start for start, _ in assignment.values(text)]
