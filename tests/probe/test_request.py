"""Requests: what comes from an event is encoded for its place, and never bends where a request goes."""

import base64
import json

import pytest

from service.probe import request
from service.probe.request import Request, UnaskableError
from service.records import LiveCheck, Secret

SECRET = "s3cr3t-A/b+c=?&#"


def ask(live: LiveCheck, secret: str = SECRET, endpoints: dict[str, str] | None = None, **companions: str) -> list[Request]:
    found = {name: Secret(value.encode()) for name, value in companions.items()}
    return request.requests(live, Secret(secret.encode()), found, endpoints or {})


def test_a_header_carries_the_secret() -> None:
    (sent,) = ask(LiveCheck("https://api.acme.com/me", headers={"Authorization": "Bearer {secret}"}))

    assert (sent.method, sent.url, sent.body) == ("GET", "https://api.acme.com/me", b"")
    assert sent.headers["Authorization"] == f"Bearer {SECRET}"


def test_basic_authentication() -> None:
    (sent,) = ask(LiveCheck("https://api.acme.com/me", basic="{sid}:{secret}"), sid="AC1")

    assert base64.b64decode(sent.headers["Authorization"].removeprefix("Basic ")) == f"AC1:{SECRET}".encode()


def test_a_query_is_encoded() -> None:
    (sent,) = ask(LiveCheck("https://api.acme.com/me?limit=1", query={"key": "{secret}"}))

    assert sent.url == "https://api.acme.com/me?limit=1&key=s3cr3t-A%2Fb%2Bc%3D%3F%26%23"


def test_a_form_is_encoded() -> None:
    (sent,) = ask(LiveCheck("https://api.acme.com/t", method="POST", form={"grant": "x", "secret": "{secret}"}))

    assert sent.body == b"grant=x&secret=s3cr3t-A%2Fb%2Bc%3D%3F%26%23"
    assert sent.headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_a_document_cannot_be_broken_out_of() -> None:
    table = LiveCheck("https://a.acme.com/q", method="POST", json={"a": ["{secret}", 1], "q": "{ viewer { id } }"})

    (sent,) = ask(table, secret='x", "admin": "y')

    assert json.loads(sent.body) == {"a": ['x", "admin": "y', 1], "q": "{ viewer { id } }"}


def test_a_path_is_encoded() -> None:
    (sent,) = ask(LiveCheck("https://api.acme.com/bot{secret}/me"), secret="1:a/../b?c")

    assert sent.url == "https://api.acme.com/bot1:a%2F..%2Fb%3Fc/me"


def test_a_companion_is_a_label_of_the_host() -> None:
    (sent,) = ask(LiveCheck("https://{shop}.acme.com/me", headers={"X": "{secret}"}), shop="My-Shop")

    assert sent.url == "https://my-shop.acme.com/me"


@pytest.mark.parametrize("shop", ["my-shop.acme.com", "https://my-shop.acme.com", "https://my-shop.acme.com/"])
def test_the_whole_host_says_the_same_as_its_label(shop: str) -> None:
    (sent,) = ask(LiveCheck("https://{shop}.acme.com/me", headers={"X": "{secret}"}), shop=shop)

    assert sent.url == "https://my-shop.acme.com/me"


@pytest.mark.parametrize(
    "shop",
    [
        "evil.com/.acme.com",
        "evil.com#.acme.com",
        "https://evil.com\\.acme.com",
        "https://evil.com/x.acme.com/",
        "user@evil.com?.acme.com",
        "https://https://x.acme.com",
        "http://x.acme.com",
        ".acme.com",
        "a.b.acme.com",
        "evil.com/",
        "evil.com#",
        "evil.com?",
        "evil.com\\",
        "x@evil.com",
        "user:pass@evil",
        "a.b",
        "evil.com:443",
        "127.0.0.1",
        "[::1]",
        "-a",
        "a-",
        "a" * 64,
        "evil%2ecom",
        "evil\u3002com",
        "evil\uff0ecom",
        "evil\u2024com",
        "\u212aelvin",
        "a b",
        "a\r\nHost: evil.com",
        "a\nb",
        "a\x00b",
        "",
        "xn--\u00e9",
    ],
)
def test_no_companion_smuggles_another_host(shop: str) -> None:
    with pytest.raises(UnaskableError) as error:
        ask(LiveCheck("https://{shop}.acme.com/me", headers={"X": "{secret}"}), shop=shop)

    assert error.value.reason == "companion_refused"


@pytest.mark.parametrize("account", ["..", ".", "a/b", "a?b", "a#b", "a%2fb", "a\\b", "a b", "\u2025", "a\rb", "a;b"])
def test_no_companion_leaves_its_segment(account: str) -> None:
    with pytest.raises(UnaskableError) as error:
        ask(LiveCheck("https://api.acme.com/v1/{account}/me", headers={"X": "{secret}"}), account=account)

    assert error.value.reason == "companion_refused"


@pytest.mark.parametrize("secret", ["a\r\nX-Evil: 1", "a\nb", "a\x00", "\u00e9", "", "x" * 9000])
def test_no_secret_adds_a_header(secret: str) -> None:
    with pytest.raises(UnaskableError) as error:
        ask(LiveCheck("https://api.acme.com/me", headers={"Authorization": "Bearer {secret}"}), secret=secret)

    assert error.value.reason == "secret_refused"


def test_bytes_that_are_no_text_are_not_sent() -> None:
    with pytest.raises(UnaskableError, match="secret_refused"):
        request.requests(LiveCheck("https://api.acme.com/me", headers={"X": "{secret}"}), Secret(b"\xff\xfe"), {}, {})


def test_what_is_missing_beside_the_secret_is_told() -> None:
    with pytest.raises(UnaskableError, match="companion_missing"):
        ask(LiveCheck("https://api.acme.com/me", basic="{sid}:{secret}"))


HOOK = LiveCheck("https://hooks.acme.com/{part}", part=r"https://hooks\.acme\.com/(services/[A-Z0-9]+)")


def test_a_secret_that_is_a_url_gives_its_path_alone() -> None:
    (sent,) = ask(HOOK, secret="https://hooks.acme.com/services/T01")

    assert sent.url == "https://hooks.acme.com/services/T01"


@pytest.mark.parametrize(
    "secret",
    [
        "https://hooks.acme.com.evil.com/services/T01",
        "https://hooks.acme.com@evil.com/services/T01",
        "https://evil.com/https://hooks.acme.com/services/T01",
        "https://hooks.acme.com/services/T01/../../x",
        "http://hooks.acme.com/services/T01",
        "https://hooksXacme.com/services/T01",
    ],
)
def test_a_url_of_another_host_goes_nowhere(secret: str) -> None:
    with pytest.raises(UnaskableError, match="secret_refused"):
        ask(HOOK, secret=secret)


def test_operators_hosts_are_asked_in_place_of_public_ones() -> None:
    table = LiveCheck("https://gitlab.com/api/v4/self", endpoint="gitlab", headers={"X": "{secret}"})

    sent = ask(table, endpoints={"gitlab": "https://git.acme.example/gitlab/ https://gitlab.com"})

    assert [one.url for one in sent] == ["https://git.acme.example/gitlab/api/v4/self", "https://gitlab.com/api/v4/self"]


def test_hosts_that_only_an_operator_knows_have_to_be_named() -> None:
    table = LiveCheck("/v1/self", endpoint="vault", headers={"X": "{secret}"})

    with pytest.raises(UnaskableError, match="endpoint_unset"):
        ask(table)


def test_regions_are_asked_in_turn() -> None:
    sent = ask(LiveCheck("https://api.acme.com/me", also=["https://api.eu.acme.com"], headers={"X": "{secret}"}))

    assert [one.url for one in sent] == ["https://api.acme.com/me", "https://api.eu.acme.com/me"]


def test_a_request_does_not_show_what_it_holds() -> None:
    (sent,) = ask(LiveCheck("https://api.acme.com/me", query={"key": "{secret}"}))

    assert "s3cr3t" not in repr(sent) + str(sent) + f"{sent}"
