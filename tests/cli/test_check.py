"""``sluice check`` and ``sluice recheck`` as people run them, against providers on loopback."""

import asyncio
import io
import json
import secrets
import string
import sys
from typing import Any

import pytest
from aiohttp import web

from service import cli
from service.judge import evidence
from service.publish.fingerprint import Fingerprinter
from service.records import Secret
from tests.probe.conftest import HOSTS, Providers, providers  # noqa: F401 - a fixture

KEY = "k" * 32


def token() -> str:
    body = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(36))
    return evidence.complete("github-crc32", b"ghp_" + body.encode()).decode()


@pytest.fixture
def at_hand(providers: Providers, monkeypatch: pytest.MonkeyPatch) -> Providers:  # noqa: F811
    monkeypatch.setattr("service.probe.network.aiohttp.ThreadedResolver", lambda: providers.names)
    monkeypatch.setenv("SLUICE_PROBE__CA_FILE", str(providers.folder / "cert.pem"))
    monkeypatch.setenv("SLUICE_PROBE__ALLOW_PRIVATE", ",".join(HOSTS))
    monkeypatch.setenv("SLUICE_PROBE__RATE_PER_PROVIDER", "1000")
    monkeypatch.setenv("SLUICE_FINGERPRINT__KEY", KEY)
    return providers


def github(live: str) -> Any:
    async def handler(request: web.Request) -> web.Response:
        if request.headers["Authorization"] == f"Bearer {live}":
            return web.json_response({"login": "octocat"})
        return web.json_response({"message": "Bad credentials"}, status=401)

    return handler


class _Stdin(io.TextIOWrapper):
    pass


async def sluice(monkeypatch: pytest.MonkeyPatch, stdin: str, *arguments: str) -> int:
    monkeypatch.setattr(sys, "stdin", _Stdin(io.BytesIO(stdin.encode())))
    return int(await asyncio.to_thread(cli.main, list(arguments)))


async def test_a_live_secret(at_hand: Providers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    live = token()
    at_hand.handlers["api.github.com"] = github(live)

    status = await sluice(monkeypatch, live + "\n", "check", "--detector", "github-personal-access-token")

    said = capsys.readouterr().out
    assert status == 1
    assert said.startswith("active  GitHub personal access token")
    assert "octocat" in said
    assert "the provider accepts it" in said
    assert live not in said


async def test_a_dead_one_and_one_that_nobody_can_tell(
    at_hand: Providers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at_hand.handlers["api.github.com"] = github(token())

    assert await sluice(monkeypatch, token(), "check", "--detector", "github-personal-access-token") == 0
    assert await sluice(monkeypatch, "x" * 40, "check", "--detector", "pypi-api-token") == 3
    assert "no harmless way" in capsys.readouterr().out


async def test_what_stands_on_standard_input_is_recognised(
    at_hand: Providers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    live = token()
    at_hand.handlers["api.github.com"] = github(live)

    status = await sluice(monkeypatch, f"GITHUB_TOKEN={live}\n", "check", "--format", "json")

    row = json.loads(capsys.readouterr().out)
    assert status == 1
    assert (row["detector"], row["validity"], row["reason"], row["facts"]) == (
        "github-personal-access-token",
        "active",
        "accepted",
        {"account": "octocat"},
    )
    assert live not in str(row)


async def test_what_belongs_to_the_secret_follows_it(
    at_hand: Providers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sid = "AC" + secrets.token_hex(16)

    async def twilio(request: web.Request) -> web.Response:
        return web.json_response({"code": 20003, "message": "Authenticate"}, status=401)

    at_hand.handlers["api.twilio.com"] = twilio
    stdin = f"{secrets.token_hex(16)}\naccount sid={sid}\n"

    assert await sluice(monkeypatch, stdin, "check", "--detector", "twilio-auth-token") == 0
    assert at_hand.requests == [("GET", "api.twilio.com", f"/2010-04-01/Accounts/{sid}.json")]
    assert await sluice(monkeypatch, f"{token()}\nwrong=1", "check", "--detector", "twilio-auth-token") == 2
    assert "standard input, line 2: account sid=… expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stdin", "arguments", "told"),
    [
        ("hello", [], "nothing was recognised; name it with --detector"),
        ("", ["--detector", "github-personal-access-token"], "a secret on standard input expected"),
        ("x", ["--detector", "github-personal-access-tokn"], "did you mean 'github-personal-access-token'"),
    ],
)
async def test_mistakes_are_told(
    at_hand: Providers,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stdin: str,
    arguments: list[str],
    told: str,
) -> None:
    assert await sluice(monkeypatch, stdin, "check", *arguments) == 2
    assert told in capsys.readouterr().err


async def test_a_host_that_no_detector_asks_is_a_mistake(
    at_hand: Providers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLUICE_PROBE__ENDPOINTS", "gitlabb=https://git.acme.example")

    assert await sluice(monkeypatch, token(), "check", "--detector", "github-personal-access-token") == 2
    assert "probe.endpoints.gitlabb: no detector asks such a host; did you mean 'gitlab'?" in capsys.readouterr().err


async def test_rechecking_takes_the_secrets_again(
    at_hand: Providers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    live, dead = token(), token()
    at_hand.handlers["api.github.com"] = github(live)
    fingerprint = Fingerprinter(KEY.encode()).secret(Secret(live.encode()))
    lines = [
        {"secret": live, "fingerprint": fingerprint},
        {"secret": dead, "detector": "github-personal-access-token"},
    ]

    status = await sluice(monkeypatch, "\n".join(map(json.dumps, lines)), "recheck")

    said = capsys.readouterr().out
    rows = [json.loads(line) for line in said.splitlines()]
    assert status == 1
    assert [(row["line"], row["validity"]) for row in rows] == [(1, "active"), (2, "inactive")]
    assert rows[0]["fingerprint"] == fingerprint
    assert live not in said
    assert dead not in said


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("garbage", "this is no JSON"),
        ("[]", "an object with a secret"),
        ('{"secret": 5}', "an object with a secret"),
        ('{"secret": "x", "secrets": "y"}', "1 keys that are not known"),
        ('{"secret": "x", "detector": "nobody"}', "detector: there is no such id"),
        ('{"secret": "x"}', "detector: the secret does not tell what it is"),
        ('{"secret": "x", "fingerprint": "aa"}', "fingerprint: that of another secret"),
        ('{"secret": "x", "companions": [1]}', "companions: an object of strings"),
    ],
)
async def test_a_wrong_line_is_told_and_the_rest_goes_on(
    at_hand: Providers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, told: str
) -> None:
    at_hand.handlers["api.github.com"] = github(token())
    good = json.dumps({"secret": token()})

    status = await sluice(monkeypatch, f"{line}\n{good}\n", "recheck")

    rows = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert status == 2
    assert told in rows[0]["error"]
    assert rows[1]["validity"] == "inactive"
