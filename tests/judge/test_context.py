"""The name before a value: read in every language's way of writing an assignment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.judge.context import Name, name_of

ASSIGNMENTS = [
    "{name}=",
    "{name} = ",
    "{name}: ",
    '"{name}": "',
    "'{name}' => '",
    '{name} := "',
    'const {name} = "',
    "export {name}='",
    "os.environ['{name}'] = '",
    'set("{name}", "',
    "<{name}>",
    "--{name} ",
    '{name} = b"',
    "{name}: Bearer ",
    '\\"{name}\\": \\"',
    "{name}:\n  ",
]


@pytest.mark.parametrize("form", ASSIGNMENTS)
def test_a_name_is_seen_in_every_form_of_assignment(form: str) -> None:
    assert name_of(form.format(name="wepay_token").encode()) == Name(assigned=True, identifying=False)


@pytest.mark.parametrize("form", ASSIGNMENTS)
def test_so_is_that_it_names_an_identifier(form: str) -> None:
    assert name_of(form.format(name="trace_id").encode()) == Name(assigned=True, identifying=True)


@pytest.mark.parametrize("before", [b"", b"\n", b"the value is; ", b"!! ", b"https://host/"])
def test_where_no_name_stands_none_is_seen(before: bytes) -> None:
    assert name_of(before) == Name(assigned=False, identifying=False)


@pytest.mark.parametrize(
    "name",
    ["commit", "requestId", "request_id", "traceId", "X-Request-Id", "sha256", "md5", "etag", "image_digest", "buildVersion"],
)
def test_names_of_identifiers_and_digests(name: str) -> None:
    assert name_of(name.encode() + b"=").identifying


@pytest.mark.parametrize(
    "name",
    [
        "session_token",
        "sessionKey",
        "device_secret",
        "request_signing_key",
        "build_password",
        "commitment",
        "shaker",
        "api_hash",
    ],
)
def test_a_word_that_says_secret_or_merely_resembles_one_of_them_is_no_identifier(name: str) -> None:
    assert name_of(name.encode() + b"=") == Name(assigned=True, identifying=False)


@given(st.binary(max_size=128))
def test_no_bytes_make_it_raise_and_only_a_name_can_identify(before: bytes) -> None:
    name = name_of(before)

    assert name.assigned or not name.identifying
