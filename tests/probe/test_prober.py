"""Live checks from end to end: the catalogue's own tables, against providers on loopback that speak their published replies."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import logging
import random
import secrets
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from service import proof
from service.errors import SettingsError
from service.probe import prober as module
from service.probe.client import MAX_BODY, retry_after
from service.probe.prober import CANARY_ACCOUNTS, Prober
from service.records import Confidence, Detector, Secret, Validity
from service.telemetry import logs
from service.telemetry.metrics import Metrics
from tests.probe.conftest import HOSTS, Names, Providers, Results, certificate, finding, prober

Catalogue = dict[str, Detector]


def token(prefix: str = "", length: int = 32) -> str:
    return prefix + secrets.token_hex(length)[:length]


def says(good: str, yes: Any, no: Any, status: int = 401, **headers: str) -> Any:
    """A provider that answers by whether the credential is anywhere in the request."""

    async def handler(request: web.Request) -> web.Response:
        sent = f"{request.path_qs} {list(request.headers.items())} {(await request.read()).decode()}"
        basic = request.headers.get("Authorization", "")
        if basic.startswith("Basic "):
            sent += base64.b64decode(basic[6:]).decode()
        if good in sent:
            return web.json_response(yes, headers=headers)
        return web.json_response(no, status=status)

    return handler


async def check(made: Prober, detector: Detector, secret: str, **companions: str) -> Any:
    return await made.check(
        detector,
        Secret(secret.encode()),
        {name.replace("_", " "): Secret(value.encode()) for name, value in companions.items()},
    )


@pytest.fixture
async def running(providers: Providers) -> AsyncIterator[Prober]:
    made = await prober(providers)
    yield made
    await made.stop()


# ---- what providers say


async def test_stripe(providers: Providers, running: Prober, detectors: Catalogue) -> None:
    live, dead, limited = (token("sk_live_", 24) for _ in range(3))

    async def stripe(request: web.Request) -> web.Response:
        key = request.headers["Authorization"].removeprefix("Bearer ")
        if key == live:
            return web.json_response({"id": "acct_1Hx", "object": "account", "country": "DE", "email": "a@acme.example"})
        if key == limited:
            error = {"type": "invalid_request_error", "message": f"The provided key '{key[:12]}***' does not have the required"}
            return web.json_response({"error": {**error, "request_log_url": "https://dashboard.stripe.com/logs/x"}}, status=403)
        error = {"type": "invalid_request_error", "message": f"Invalid API Key provided: {key[:8]}****{key[-4:]}"}
        return web.json_response({"error": error}, status=401)

    providers.handlers["api.stripe.com"] = stripe
    detector = detectors["stripe-live-secret-key"]

    found = await check(running, detector, live)
    assert (found.validity, found.facts) == (Validity.active, {"account": "acct_1Hx", "country": "DE"})
    found = await check(running, detector, limited)
    assert (found.validity, found.reason) == (Validity.active, "limited")
    assert found.facts["request_log_url"] == "https://dashboard.stripe.com/logs/x"
    assert (await check(running, detector, dead)).validity is Validity.inactive


async def test_github_and_its_facts(providers: Providers, running: Prober, detectors: Catalogue) -> None:
    live = token("ghp_", 36)
    providers.handlers["api.github.com"] = says(
        live,
        {"login": "octocat", "id": 1},
        {"message": "Bad credentials", "documentation_url": "https://docs.github.com/rest", "status": "401"},
        **{"X-OAuth-Scopes": "repo, read:org", "GitHub-Authentication-Token-Expiration": "2027-01-01 00:00:00 UTC"},
    )
    detector = detectors["github-personal-access-token"]

    found = await check(running, detector, live)

    assert found.validity is Validity.active
    assert found.facts == {"account": "octocat", "scopes": "repo, read:org", "expires": "2027-01-01 00:00:00 UTC"}
    assert (await check(running, detector, token("ghp_", 36))).validity is Validity.inactive


async def test_a_github_of_ones_own(providers: Providers, detectors: Catalogue) -> None:
    live = token("ghp_", 36)
    providers.handlers["git.acme.example"] = says(live, {"login": "octocat"}, {"message": "Bad credentials"})
    made = await prober(providers, endpoints={"github": "https://git.acme.example/api/v3"})

    assert (await check(made, detectors["github-personal-access-token"], live)).validity is Validity.active
    assert {(host, path) for _, host, path in providers.requests} == {("git.acme.example", "/api/v3/user")}
    await made.stop()


async def test_gitlab(providers: Providers, running: Prober, detectors: Catalogue) -> None:
    live = token("glpat-", 20)
    providers.handlers["gitlab.com"] = says(
        live,
        {"id": 7, "name": "deploy", "revoked": False, "scopes": ["api", "read_user"], "user_id": 3, "expires_at": "2027-01-01"},
        {"message": "401 Unauthorized"},
    )

    found = await check(running, detectors["gitlab-personal-access-token"], live)

    assert found.facts == {"token_name": "deploy", "scopes": "api, read_user", "expires": "2027-01-01", "account": "3"}


async def test_slack_answers_200_either_way(providers: Providers, running: Prober, detectors: Catalogue) -> None:
    live = "xoxb-" + "1" * 11 + "-" + "2" * 12 + "-" + token(length=24)
    providers.handlers["slack.com"] = says(
        live,
        {"ok": True, "url": "https://acme.slack.com/", "team": "Acme", "user": "bot", "team_id": "T1", "user_id": "U1"},
        {"ok": False, "error": "invalid_auth"},
        200,
        **{"x-oauth-scopes": "chat:write"},
    )
    detector = detectors["slack-bot-token"]

    found = await check(running, detector, live)

    assert found.validity is Validity.active
    assert found.facts["team"] == "Acme"
    assert found.facts["scopes"] == "chat:write"
    assert (await check(running, detector, live[:-1] + "x")).validity is Validity.inactive


async def test_a_slack_webhook_is_asked_without_a_message(providers: Providers, running: Prober, detectors: Catalogue) -> None:
    live = (
        "https://hooks.slack.com/services/T" + token(length=8).upper() + "/B" + token(length=8).upper() + "/" + token(length=24)
    )

    async def hooks(request: web.Request) -> web.Response:
        return web.Response(status=400, text="no_text") if request.path in live else web.Response(status=404, text="no_service")

    providers.handlers["hooks.slack.com"] = hooks
    detector = detectors["slack-incoming-webhook-url"]

    assert (await check(running, detector, live)).validity is Validity.active
    assert (await check(running, detector, live + "/../x")).reason == "secret_refused"
    assert (await check(running, detector, live[:-1] + "Q")).validity is Validity.inactive
    assert set(providers.bodies) == {b"{}"}


def sts(good: str) -> Any:
    async def handler(request: web.Request) -> web.Response:
        form = parse_qs((await request.read()).decode())
        assert form == {"Action": ["GetCallerIdentity"], "Version": ["2011-06-15"]}
        if good in request.headers["Authorization"]:
            result = {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:user/ci", "UserId": "AIDAX"}
            return web.json_response({"GetCallerIdentityResponse": {"GetCallerIdentityResult": result}})
        error = {"Code": "InvalidClientTokenId", "Message": "The security token included in the request is invalid."}
        return web.json_response({"Error": error}, status=403)

    return handler


async def test_aws_names_the_account(providers: Providers, running: Prober, detectors: Catalogue) -> None:
    live = "AKIA" + base64.b32encode(secrets.token_bytes(10)).decode()
    providers.handlers["sts.amazonaws.com"] = sts(live)

    found = await check(running, detectors["aws-access-key-id"], live, secret_access_key=token(length=40))

    assert found.validity is Validity.active
    assert found.facts == {"account": "123456789012", "arn": "arn:aws:iam::123456789012:user/ci"}
    assert (await check(running, detectors["aws-access-key-id"], live)).reason == "companion_missing"


async def test_a_signature_that_does_not_match_tells_nothing(
    providers: Providers, running: Prober, detectors: Catalogue
) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"Error": {"Code": "SignatureDoesNotMatch"}}, status=403)

    providers.handlers["sts.amazonaws.com"] = handler
    key = "AKIA" + base64.b32encode(secrets.token_bytes(10)).decode()

    found = await check(running, detectors["aws-secret-access-key"], token(length=40), access_key_id=key)

    assert (found.validity, found.reason) == (Validity.unknown, "unsure")


async def test_wepay(providers: Providers, running: Prober, detectors: Catalogue) -> None:
    live = "PRODUCTION_" + token(length=64)
    providers.handlers["wepayapi.com"] = says(
        live,
        {"user_id": 59411, "first_name": "Bill", "email": "b@acme.example", "state": "registered"},
        {"error": "access_denied", "error_description": "made up", "error_code": 1006},
    )
    app_token = "production_" + token(length=50)
    providers.handlers["api.wepay.com"] = says(app_token, {"results": []}, {"error_code": "UNAUTHORIZED"})

    found = await check(running, detectors["wepay-access-token-v2"], live)
    assert (found.validity, found.facts) == (Validity.active, {"account": "59411", "state": "registered"})
    assert (await check(running, detectors["wepay-access-token-v2"], live[:-1] + "z")).validity is Validity.inactive
    providers.handlers["wepayapi.com"] = says("nobody", {}, {"error": "access_denied", "error_code": 1010})
    assert (await check(running, detectors["wepay-access-token-v2"], live)).reason == "limited"
    assert (await check(running, detectors["wepay-access-token"], app_token, app_id="12345")).validity is Validity.active
    assert (await check(running, detectors["wepay-access-token"], app_token)).reason == "companion_missing"


async def test_vercel_tells_a_dead_token_from_one_that_may_not(
    providers: Providers, running: Prober, detectors: Catalogue
) -> None:
    async def vercel(request: web.Request) -> web.Response:
        dead = request.headers["Authorization"].endswith("dead")
        return web.json_response({"error": {"code": "forbidden", **({"invalidToken": True} if dead else {})}}, status=403)

    providers.handlers["api.vercel.com"] = vercel
    detector = detectors["vercel-access-token-legacy"]

    assert (await check(running, detector, "x" * 20 + "dead")).validity is Validity.inactive
    assert (await check(running, detector, "x" * 24)).validity is Validity.unknown


async def test_a_region_that_knows_the_key_is_found(providers: Providers, running: Prober, detectors: Catalogue) -> None:
    live = token("key-", 36)
    providers.handlers["api.mailgun.net"] = says("nobody", {}, {"message": "Invalid private key"})
    providers.handlers["api.eu.mailgun.net"] = says(live, {"items": [{"name": "mg.acme.example"}]}, {"message": "no"})
    detector = detectors["mailgun-api-key-legacy"]

    assert (await check(running, detector, live)).facts == {"domain": "mg.acme.example"}
    assert (await check(running, detector, token("key-", 36))).validity is Validity.inactive


async def test_one_region_that_does_not_answer_leaves_it_open(
    providers: Providers, running: Prober, detectors: Catalogue
) -> None:
    providers.handlers["api.mailgun.net"] = says("nobody", {}, {"message": "Invalid private key"})
    providers.handlers["api.eu.mailgun.net"] = says("nobody", {}, {}, 500)

    found = await check(running, detectors["mailgun-api-key-legacy"], token("key-", 36))

    assert (found.validity, found.reason) == (Validity.unknown, "server_error")


async def test_the_region_in_a_key_chooses_the_host(providers: Providers, running: Prober, detectors: Catalogue) -> None:
    live = token(length=32) + "-us7"
    providers.handlers["us7.api.mailchimp.com"] = says(live, {"account_id": "a1", "account_name": "Acme"}, {"status": 401})

    found = await check(running, detectors["mailchimp-api-key"], live)

    assert found.validity is Validity.active
    assert {host for _, host, _ in providers.requests} == {"us7.api.mailchimp.com"}


async def test_a_shop_is_a_label_of_the_host(providers: Providers, running: Prober, detectors: Catalogue) -> None:
    live = token("shpat_", 32)
    providers.handlers["acme.myshopify.com"] = says(live, {"access_scopes": [{"handle": "read_orders"}]}, {"errors": "x"})
    detector = detectors["shopify-access-token"]

    for shop in ("acme", "acme.myshopify.com", "https://acme.myshopify.com/"):
        assert (await check(running, detector, live, shop=shop)).validity is Validity.active
    for shop in ("evil.com/", "evil.com#", "acme.evil", "x@evil", "a\r\nHost: evil.com", "evil\u3002com"):
        assert (await check(running, detector, live, shop=shop)).reason == "companion_refused"
    assert {host for _, host, _ in providers.requests} == {"acme.myshopify.com"}


async def test_a_registry_is_the_operators(providers: Providers, running: Prober, detectors: Catalogue) -> None:
    live = token("npm_", 36)
    detector = detectors["npm-access-token"]
    providers.handlers["registry.acme.example"] = says(live, {"username": "ci"}, {"error": "x"})

    assert (await check(running, detector, live)).reason == "endpoint_unset"
    made = await prober(providers, endpoints={"npm": "https://registry.acme.example"})
    assert (await check(made, detector, live)).facts == {"account": "ci"}
    await made.stop()


async def test_a_live_key_that_may_not_do_what_was_asked(providers: Providers, running: Prober, detectors: Catalogue) -> None:
    live = token("sk-proj-", 40)
    limited = {"error": {"message": "You have insufficient permissions for this operation.", "type": "invalid_request_error"}}
    refused = {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}

    async def openai(request: web.Request) -> web.Response:
        if live in request.headers["Authorization"]:
            return web.json_response(limited, status=403)
        return web.json_response(refused, status=401)

    providers.handlers["api.openai.com"] = openai

    found = await check(running, detectors["openai-project-api-key"], live)

    assert (found.validity, found.reason) == (Validity.active, "limited")


# ---- the control


async def test_a_yes_is_believed_only_where_a_made_up_secret_is_refused(
    providers: Providers, running: Prober, detectors: Catalogue
) -> None:
    async def yes(request: web.Request) -> web.Response:
        return web.json_response({"login": "anybody"})

    providers.handlers["api.github.com"] = yes

    found = await check(running, detectors["github-personal-access-token"], token("ghp_", 36))

    assert (found.validity, found.reason, found.facts) == (Validity.unknown, "control_failed", {})


async def test_a_control_that_fails_is_no_refusal(providers: Providers, running: Prober, detectors: Catalogue) -> None:
    live = token("ghp_", 36)
    providers.handlers["api.github.com"] = says(live, {"login": "x"}, {}, 500)

    found = await check(running, detectors["github-personal-access-token"], live)

    assert (found.validity, found.reason) == (Validity.unknown, "control_unavailable")


async def test_the_control_is_remembered_and_has_the_secrets_shape(
    providers: Providers, running: Prober, detectors: Catalogue
) -> None:
    live = token("ghp_", 36)
    providers.handlers["api.github.com"] = says(live, {"login": "x"}, {"message": "Bad credentials"})

    for _ in range(3):
        assert (await check(running, detectors["github-personal-access-token"], live)).validity is Validity.active

    sent = [headers["Authorization"].removeprefix("Bearer ") for headers in providers.headers]
    (made_up,) = [one for one in sent if one != live]
    assert len(sent) == 4
    assert made_up.startswith("ghp_")
    assert len(made_up) == 40


async def test_a_refusal_that_might_be_of_a_live_secret_proves_the_check_and_nothing_else(
    providers: Providers, running: Prober, detectors: Catalogue
) -> None:
    live = token(length=32) + "-" + token(length=8) + "-" + token(length=8)
    for host in ("api.mailgun.net", "api.eu.mailgun.net"):
        providers.handlers[host] = says(live, {"items": []}, {"message": "Forbidden"})
    detector = detectors["mailgun-api-key"]

    assert (await check(running, detector, live)).validity is Validity.active
    found = await check(running, detector, live[:-1] + "x")
    assert (found.validity, found.reason) == (Validity.unknown, "unsure")


# ---- faults


@pytest.fixture
def github(providers: Providers, detectors: Catalogue) -> Detector:
    return detectors["github-personal-access-token"]


async def answered(providers: Providers, github: Detector, handler: Any, **settings: Any) -> Any:
    providers.handlers["api.github.com"] = handler
    made = await prober(providers, **settings)
    try:
        return await check(made, github, token("ghp_", 36))
    finally:
        await made.stop()


async def test_a_slow_provider_is_not_waited_for(providers: Providers, github: Detector) -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    found = await answered(providers, github, slow, timeout_ms=100)

    assert (found.validity, found.reason) == (Validity.unknown, "timeout")


async def test_a_body_that_trickles_is_not_waited_for(providers: Providers, github: Detector) -> None:
    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    assert (await answered(providers, github, trickle, timeout_ms=200)).reason == "timeout"


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_fault_of_the_provider_is_tried_again_and_unknown(providers: Providers, github: Detector, status: int) -> None:
    async def broken(request: web.Request) -> web.Response:
        return web.Response(status=status)

    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    providers.handlers["api.github.com"] = broken
    made = Prober(
        providers.settings(attempts=3), Metrics(), Results(), lambda detector: b"x", sleep=sleep, resolver=providers.names
    )
    await made.start()
    found = await check(made, github, token("ghp_", 36))
    await made.stop()

    assert (found.validity, found.reason) == (Validity.unknown, "server_error")
    assert len(providers.requests) == 3
    assert [0.25 <= pause <= 1.0 for pause in pauses if pause > 0.01] == [True, True]


async def test_a_second_try_may_answer(providers: Providers, github: Detector) -> None:
    async def flaky(request: web.Request) -> web.Response:
        if len(providers.requests) < 2:
            return web.Response(status=429, headers={"Retry-After": "0"})
        return web.json_response({"message": "Bad credentials"}, status=401)

    assert (await answered(providers, github, flaky, attempts=2)).validity is Validity.inactive


async def test_retry_after_is_kept_to(providers: Providers, github: Detector) -> None:
    async def busy(request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "7"})

    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    providers.handlers["api.github.com"] = busy
    made = Prober(
        providers.settings(attempts=2), Metrics(), Results(), lambda detector: b"x", sleep=sleep, resolver=providers.names
    )
    await made.start()
    found = await check(made, github, token("ghp_", 36))
    await made.stop()

    assert found.reason == "rate_limited"
    assert 7 in pauses


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5), ("", 0), ("soon", 0), ("-5", 0), ("Thu, 01 Jan 1970 00:01:00 GMT", 50)]
)
def test_retry_after_in_all_its_forms(text: str, seconds: float) -> None:
    assert retry_after({"retry-after": text}, now=10.0) == seconds


async def test_a_long_retry_after_is_not_waited_for(providers: Providers, github: Detector) -> None:
    async def busy(request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": "3600"})

    providers.handlers["api.github.com"] = busy
    made = await prober(providers, attempts=3)
    assert (await check(made, github, token("ghp_", 36))).reason == "rate_limited"
    assert (await check(made, github, token("ghp_", 36))).reason == "rate_limited"
    await made.stop()

    assert len(providers.requests) == 1


@pytest.mark.parametrize("body", [b"", b"garbage", b"\xff" * 100, b'{"login"', b"<html></html>"])
async def test_garbage_is_unknown(providers: Providers, detectors: Catalogue, running: Prober, body: bytes) -> None:
    async def garbage(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    providers.handlers["slack.com"] = garbage

    assert (await check(running, detectors["slack-bot-token"], "xoxb-1")).reason == "unexpected_answer"


async def test_a_broken_protocol_is_unknown(providers: Providers, github: Detector) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    assert (await answered(providers, github, cut)).reason == "connection"


async def test_a_huge_body_is_not_read_to_its_end(providers: Providers, detectors: Catalogue, running: Prober) -> None:
    sent = 0

    async def huge(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b"x" * 65_536)
            sent += 65_536
        return response

    providers.handlers["slack.com"] = huge

    assert (await check(running, detectors["slack-bot-token"], "xoxb-1")).reason == "unexpected_answer"
    assert sent < 40 * MAX_BODY


async def test_a_body_that_unpacks_to_much_is_cut(providers: Providers, detectors: Catalogue, running: Prober) -> None:
    packed = gzip.compress(b" " * 50_000_000 + b'{"ok": true}')

    async def bomb(request: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    providers.handlers["slack.com"] = bomb

    assert (await check(running, detectors["slack-bot-token"], "xoxb-1")).reason == "unexpected_answer"


async def test_a_packed_body_is_read(providers: Providers, detectors: Catalogue, running: Prober) -> None:
    packed = gzip.compress(json.dumps({"ok": False, "error": "invalid_auth"}).encode())

    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    providers.handlers["slack.com"] = handler

    assert (await check(running, detectors["slack-bot-token"], "xoxb-1")).validity is Validity.inactive


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_no_redirect_is_followed(providers: Providers, github: Detector, status: int) -> None:
    async def away(request: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "https://vault.acme.example/steal"})

    found = await answered(providers, github, away)

    assert (found.validity, found.reason) == (Validity.unknown, "redirect")
    assert {host for _, host, _ in providers.requests} == {"api.github.com"}


async def test_an_authority_that_is_not_trusted_is_no_provider(providers: Providers, github: Detector, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    cert, _ = certificate(other, HOSTS)

    found = await answered(providers, github, says("", {"login": "x"}, {}), ca_file=str(cert))

    assert (found.validity, found.reason, providers.requests) == (Validity.unknown, "tls", [])


async def test_a_certificate_of_another_name_is_no_provider(providers: Providers, detectors: Catalogue) -> None:
    made = await prober(providers, endpoints={"github": "https://other.acme.example"}, allow_private=("other.acme.example",))

    found = await check(made, detectors["github-personal-access-token"], token("ghp_", 36))

    assert (found.reason, providers.requests) == ("tls", [])
    await made.stop()


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "100.64.0.1"])
async def test_a_name_that_leads_inside_is_not_asked(providers: Providers, github: Detector, address: str) -> None:
    providers.names.addresses["api.github.com"] = [address]

    found = await answered(providers, github, says("", {"login": "x"}, {}), allow_private=())

    assert (found.validity, found.reason, providers.requests) == (Validity.unknown, "address_refused", [])


async def test_a_name_that_does_not_resolve(providers: Providers, github: Detector) -> None:
    class Nowhere(Names):
        async def resolve(self, *arguments: Any, **more: Any) -> Any:
            raise OSError("no such name")

    made = Prober(providers.settings(), Metrics(), Results(), lambda detector: b"x", resolver=Nowhere(0))
    await made.start()

    assert (await check(made, github, token("ghp_", 36))).reason == "dns"
    await made.stop()


async def test_a_port_that_nobody_listens_on(providers: Providers, github: Detector) -> None:
    providers.names.port = 1

    assert (await answered(providers, github, says("", {}, {}))).reason == "connection"


async def test_a_fault_in_the_check_is_unknown(providers: Providers, github: Detector) -> None:
    def broken(detector: Detector) -> bytes:
        raise RuntimeError(detector.id)

    live = token("ghp_", 36)
    providers.handlers["api.github.com"] = says(live, {"login": "x"}, {})
    made = Prober(providers.settings(), Metrics(), Results(), broken, resolver=providers.names)
    await made.start()

    assert (await check(made, github, live)).reason == "fault"
    await made.stop()


async def test_a_proxy_is_gone_through(providers: Providers, github: Detector) -> None:
    seen: list[bytes] = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        inner = await asyncio.open_connection("127.0.0.1", providers.names.port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
            sink.close()

        await asyncio.gather(copy(reader, inner[1]), copy(inner[0], writer), return_exceptions=True)

    server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    live = token("ghp_", 36)
    providers.handlers["api.github.com"] = says(live, {"login": "x"}, {"message": "Bad credentials"})
    made = await prober(providers, proxy=f"http://127.0.0.1:{port}", proxy_credentials="sluice:made-up-word", allow_private=())

    assert (await check(made, github, live)).validity is Validity.active
    assert seen[0].startswith(b"CONNECT api.github.com:443 ")
    assert base64.b64encode(b"sluice:made-up-word") in seen[0]
    assert live.encode() not in b"".join(seen)
    await made.stop()
    server.close()


# ---- beside the stream


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def until(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come")


async def test_a_finding_that_is_handed_in_is_told_of(providers: Providers, github: Detector) -> None:
    live = token("ghp_", 36)
    providers.handlers["api.github.com"] = says(live, {"login": "octocat"}, {"message": "Bad credentials"})
    results, metrics = Results(), Metrics()
    made = await prober(providers, metrics, results)

    made.submit(finding(github, live.encode()), "f1")
    made.submit(finding(github, live.encode()), "f1")
    await until(lambda: results.all)

    assert results.all == [("f1", Validity.active, {"account": "octocat"}, "the provider accepts it")]
    assert metrics.value("sluice_probe_results_total", provider="GitHub", validity="active") == 1
    assert metrics.value("sluice_probe_skipped_total", reason="under_way") == 1
    made.submit(finding(github, live.encode()), "f1")
    assert len(results.all) == 1
    assert metrics.value("sluice_probe_skipped_total", reason="remembered") == 1
    await made.stop()


@pytest.mark.parametrize(
    ("settings", "changes", "reason"),
    [
        ({}, {"confidence": Confidence.low}, "low_confidence"),
        ({"min_confidence": "high"}, {"confidence": Confidence.medium}, "low_confidence"),
        ({"only": ("Stripe",)}, {}, "not_chosen"),
        ({"skip": ("github-personal-access-token",)}, {}, "not_chosen"),
        ({}, {"facts": {"aws_account": min(CANARY_ACCOUNTS)}}, "canary"),
        ({"canary_accounts": ("111122223333",)}, {"facts": {"aws_account": "111122223333"}}, "canary"),
    ],
)
async def test_what_is_not_asked(providers: Providers, github: Detector, settings: Any, changes: Any, reason: str) -> None:
    results, metrics = Results(), Metrics()
    made = await prober(providers, metrics, results, **settings)

    made.submit(finding(github, token("ghp_", 36).encode(), **changes), "f1")
    await asyncio.sleep(0.05)

    assert (results.all, providers.requests) == ([], [])
    assert metrics.value("sluice_probe_skipped_total", reason=reason) == 1
    await made.stop()


async def test_what_cannot_be_asked_stays_unchecked_until_its_companion_is_found(
    providers: Providers, detectors: Catalogue
) -> None:
    live = token("shpat_", 32)
    providers.handlers["acme.myshopify.com"] = says(live, {"access_scopes": []}, {"errors": "x"})
    results, metrics = Results(), Metrics()
    made = await prober(providers, metrics, results)
    shopify = detectors["shopify-access-token"]

    made.submit(finding(shopify, live.encode()), "f1")
    await until(lambda: metrics.value("sluice_probe_skipped_total", reason="companion_missing") == 1)
    assert (results.all, providers.requests) == ([], [])

    made.submit(finding(shopify, live.encode(), {"shop": b"acme"}), "f1")
    await until(lambda: results.all)
    assert results.all[0][:2] == ("f1", Validity.active)
    await made.stop()


async def test_a_detector_without_a_check_is_not_asked(providers: Providers, detectors: Catalogue) -> None:
    metrics = Metrics()
    made = await prober(providers, metrics)

    made.submit(finding(detectors["pypi-api-token"], b"x" * 40), "f1")

    assert metrics.value("sluice_probe_skipped_total", reason="no_check") == 1
    await made.stop()


async def test_nothing_is_asked_before_it_is_started(providers: Providers, github: Detector) -> None:
    metrics = Metrics()
    made = Prober(providers.settings(), metrics, Results(), lambda detector: b"x", resolver=providers.names)

    made.submit(finding(github, b"x" * 40), "f1")

    assert metrics.value("sluice_probe_skipped_total", reason="stopped") == 1


def key_of(account: int) -> str:
    """An AWS key id that names an account."""
    return "AKIA" + base64.b32encode(((account << 7) | (1 << 47)).to_bytes(6) + b"\x00\x00\x00\x00").decode()[:16]


async def test_a_tripwire_is_not_touched(providers: Providers, detectors: Catalogue) -> None:
    providers.handlers["sts.amazonaws.com"] = sts("AKIA")
    made = await prober(providers)
    canary = key_of(int(min(CANARY_ACCOUNTS)))

    found = await check(made, detectors["aws-secret-access-key"], token(length=40), access_key_id=canary)
    assert (found.validity, found.reason) == (Validity.unknown, "canary")
    found = await check(made, detectors["aws-access-key-id"], canary, secret_access_key=token(length=40))
    assert (found.reason, providers.requests) == ("canary", [])
    await made.stop()


async def test_with_the_provider_down_for_an_hour_the_stream_does_not_slow(
    providers: Providers, github: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A simulated hour: nobody answers, findings go on coming, nothing waits, nothing grows."""
    clock, results, metrics = Clock(), Results(), Metrics()
    begun = 0

    async def hangs(self: Any, request: Any) -> Any:
        nonlocal begun
        begun += 1
        await asyncio.sleep(0)
        return module.Failure("timeout")

    async def sleep(seconds: float) -> None:
        clock.now += seconds
        await asyncio.sleep(0)

    monkeypatch.setattr("service.probe.client.Client._once", hangs)
    made = Prober(
        providers.settings(max_waiting=50, max_remembered=100, attempts=3),
        metrics,
        results,
        lambda detector: b"x",
        clock=clock,
        sleep=sleep,
        resolver=providers.names,
    )
    await made.start()
    slowest = 0.0
    for second in range(3600):
        for burst in range(20 if second % 600 == 0 else 1):
            before = time.thread_time()
            made.submit(finding(github, token("ghp_", 36).encode()), f"f{second}-{burst}")
            slowest = max(slowest, time.thread_time() - before)
        assert made.waiting <= 50
        clock.now += 1
        await asyncio.sleep(0)
    await until(lambda: made.waiting == 0)

    assert begun < 100  # a try now and then, not one for every finding
    assert all(validity is Validity.unknown for _, validity, _, _ in results.all)
    assert metrics.value("sluice_probe_unknown_total", reason="provider_down") > 3000
    await made.stop()


async def test_what_waits_is_bounded_and_the_oldest_gives_way(providers: Providers, github: Detector) -> None:
    gate = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await gate.wait()
        return web.json_response({"message": "Bad credentials"}, status=401)

    providers.handlers["api.github.com"] = slow
    results, metrics = Results(), Metrics()
    made = await prober(providers, metrics, results, max_waiting=5, timeout_ms=5000)
    for number in range(20):
        made.submit(finding(github, token("ghp_", 36).encode()), f"f{number}")
    assert made.waiting == 5
    assert metrics.value("sluice_probe_waiting") == 5
    assert metrics.value("sluice_probe_skipped_total", reason="queue_full") == 13

    gate.set()
    await until(lambda: len(results.all) == 7)

    assert sorted(int(fingerprint[1:]) for fingerprint, *_ in results.all) == [0, 1, 15, 16, 17, 18, 19]
    await made.stop()


async def test_one_slow_provider_does_not_hold_up_another(providers: Providers, detectors: Catalogue) -> None:
    gate = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await gate.wait()
        return web.Response(status=401)

    providers.handlers["api.github.com"] = slow
    providers.handlers["slack.com"] = says("nobody", {}, {"ok": False, "error": "invalid_auth"}, 200)
    results = Results()
    made = await prober(providers, results=results, concurrency=3, timeout_ms=5000)
    for number in range(50):
        made.submit(finding(detectors["github-personal-access-token"], token("ghp_", 36).encode()), f"g{number}")
    made.submit(finding(detectors["slack-bot-token"], b"xoxb-" + token(length=40).encode()), "s")

    await until(lambda: results.all)

    assert results.all[0][:2] == ("s", Validity.inactive)
    gate.set()
    await made.stop()


async def test_outcomes_are_remembered_for_a_time_and_within_bounds(providers: Providers, github: Detector) -> None:
    clock, results = Clock(), Results()
    providers.handlers["api.github.com"] = says("nobody", {}, {"message": "Bad credentials"})
    made = Prober(
        providers.settings(max_remembered=2), Metrics(), results, lambda detector: b"x", clock=clock, resolver=providers.names
    )
    await made.start()
    secret = token("ghp_", 36).encode()
    for fingerprint in ("a", "b", "c"):
        made.submit(finding(github, secret), fingerprint)
        await until(lambda: len(results.all) == len(providers.requests) and not made.waiting)
    await until(lambda: len(results.all) == 3)

    made.submit(finding(github, secret), "c")
    clock.now += 61
    made.submit(finding(github, secret), "c")
    made.submit(finding(github, secret), "c")
    assert (len(results.all), len(providers.requests)) == (4, 3)
    assert results.asked[2] == results.asked[3]
    made.submit(finding(github, secret), "a")
    await until(lambda: len(results.all) == 5)
    assert len(providers.requests) == 4
    clock.now += 90_000
    made.submit(finding(github, secret), "a")
    await until(lambda: len(results.all) == 6)
    assert len(providers.requests) == 5
    await made.stop()


async def test_stopping_leaves_nothing_behind(providers: Providers, github: Detector) -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    providers.handlers["api.github.com"] = slow
    made = await prober(providers)
    for number in range(20):
        made.submit(finding(github, token("ghp_", 36).encode()), f"f{number}")
    await asyncio.sleep(0.05)

    await made.stop()

    assert made.waiting == 0
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "probe"]


# ---- the secret stays where it belongs


async def test_the_secret_is_in_no_log_metric_or_exception(
    providers: Providers, detectors: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    """A sentinel goes through every way of asking and every fault; nothing but the provider sees it."""
    stream = io.StringIO()
    logs.configure("debug", "json", stream)
    sentinel = "SENTINEL" + token(length=24)
    metrics, results = Metrics(), Results()
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
    asyncio.get_running_loop().set_debug(True)

    async def echo(request: web.Request) -> web.Response:
        kind = len(providers.requests) % 6
        if kind == 0:
            return web.json_response({"message": sentinel, "login": f"bob {sentinel}", "ok": True, "error": sentinel})
        if kind == 1:
            return web.Response(status=302, headers={"Location": f"https://evil.example/{sentinel}"})
        if kind == 2:
            assert request.transport is not None
            request.transport.abort()
        if kind == 3:
            return web.Response(status=401, text=sentinel)
        if kind == 4:
            await asyncio.sleep(1)
        return web.Response(status=500, text=sentinel, headers={"X-Echo": sentinel})

    for host in HOSTS:
        providers.handlers[host] = echo
    made = await prober(
        providers, metrics, results, timeout_ms=300, breaker_failures=1000, endpoints={"npm": "https://registry.acme.example"}
    )
    asked = (
        "github-personal-access-token",
        "slack-bot-token",
        "telegram-bot-token",
        "npm-access-token",
        "stripe-live-secret-key",
    )
    for round_ in range(6):
        for identity in asked:
            secret = f"{sentinel}{round_}{identity}".replace("-", "")
            made.submit(finding(detectors[identity], secret.encode()), f"{identity}{round_}")
    await until(lambda: len(results.all) == 30)
    providers.names.port = 1
    made.submit(finding(detectors["telegram-bot-token"], sentinel.encode()), "last")
    await until(lambda: len(results.all) == 31)
    await made.stop()

    assert any(sentinel in path for _, _, path in providers.requests)  # it was sent, in URLs too
    from prometheus_client import generate_latest

    told = stream.getvalue() + caplog.text + str(problems) + generate_latest(metrics.registry).decode() + str(results.all)
    assert sentinel not in told
    logging.getLogger().handlers.clear()


def test_the_session_trusts_nothing_of_the_environment() -> None:
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED


# ---- other settings while it runs


async def test_what_waits_is_asked_by_new_settings_or_given_up(providers: Providers, detectors: Catalogue) -> None:
    openai, github = (detectors[name] for name in ("openai-project-api-key", "github-personal-access-token"))
    going = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        await going.wait()
        return web.json_response({}, status=401)

    providers.handlers["api.github.com"] = slow
    providers.handlers["api.openai.com"] = slow
    results, metrics = Results(), Metrics()
    made = await prober(providers, metrics, results, concurrency=1, concurrency_per_provider=1)
    secrets_of = {name: proof.secret_of(one, random.Random(3)) for name, one in (("github", github), ("openai", openai))}
    made.submit(finding(github, proof.secret_of(github, random.Random(4))), "under way")
    made.submit(finding(github, secrets_of["github"]), "waits")
    made.submit(finding(openai, secrets_of["openai"]), "given up")

    await made.take(providers.settings(concurrency=2, concurrency_per_provider=2, only=("GitHub",)))
    going.set()
    while len(results.all) < 2:
        await asyncio.sleep(0.01)
    await made.stop()

    assert {(told[0], told[1]) for told in results.all} == {("under way", Validity.inactive), ("waits", Validity.inactive)}
    assert metrics.value("sluice_probe_skipped_total", reason="not_chosen") == 1


async def test_a_file_of_certificates_that_is_wrong_changes_nothing(providers: Providers, running: Prober) -> None:
    with pytest.raises(SettingsError, match=r"probe\.ca_file"):
        await running.take(providers.settings(ca_file="/nowhere.pem"))
