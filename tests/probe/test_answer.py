"""What an answer says: both outcomes have to be told, all else is unknown."""

import json
from typing import Any

import pytest

from service.probe import answer
from service.probe.answer import Outcome, Reply
from service.records import Answer, LiveCheck, Validity

PLAIN = LiveCheck("https://api.acme.com/me", active=[200, 403], inactive=[401])


def reply(status: int, body: Any = None, kind: str = "application/json", **headers: str) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}, data)


@pytest.mark.parametrize(
    ("status", "validity", "reason"),
    [
        (200, Validity.active, "accepted"),
        (403, Validity.active, "limited"),
        (401, Validity.inactive, "refused"),
        (404, Validity.unknown, "unexpected_answer"),
        (204, Validity.unknown, "unexpected_answer"),
        (302, Validity.unknown, "redirect"),
        (429, Validity.unknown, "rate_limited"),
        (500, Validity.unknown, "server_error"),
        (503, Validity.unknown, "server_error"),
    ],
)
def test_a_status_says_what_the_table_gives_it(status: int, validity: Validity, reason: str) -> None:
    assert answer.read(PLAIN, reply(status, {})) == Outcome(validity, reason)


@pytest.mark.parametrize("status", [200, 403])
def test_a_page_is_no_answer_of_an_api(status: int) -> None:
    found = answer.read(PLAIN, reply(status, b"<html>Sign in</html>", "text/html; charset=utf-8"))

    assert found == Outcome(Validity.unknown, "page")


SLACK = LiveCheck(
    "https://slack.com/api/auth.test",
    active=[Answer([200], {"ok": True})],
    inactive=[Answer([200], {"ok": False, "error": ["invalid_auth", "token_revoked"]})],
)


@pytest.mark.parametrize(
    ("body", "validity"),
    [
        ({"ok": True}, Validity.active),
        ({"ok": False, "error": "invalid_auth"}, Validity.inactive),
        ({"ok": False, "error": "fatal_error"}, Validity.unknown),
        ({"ok": 1}, Validity.unknown),
        ({"ok": "true"}, Validity.unknown),
        ([], Validity.unknown),
        (None, Validity.unknown),
        (b"{", Validity.unknown),
        (b"", Validity.unknown),
        (b"\xff\xfe", Validity.unknown),
        (b"[" * 100_000, Validity.unknown),
    ],
)
def test_answers_that_are_always_200_are_read_by_their_body(body: Any, validity: Validity) -> None:
    assert answer.read(SLACK, reply(200, body)).validity is validity


def test_a_body_goes_before_a_mere_status() -> None:
    table = LiveCheck("https://a.acme.com", active=[200], inactive=[Answer([200], {"errors.0.code": "dead"})])

    assert answer.read(table, reply(200, {"errors": [{"code": "dead"}]})).validity is Validity.inactive
    assert answer.read(table, reply(200, {"errors": []})).validity is Validity.active


def test_an_answer_that_says_both_is_unknown() -> None:
    table = LiveCheck("https://a.acme.com", active=[Answer(text="fine")], inactive=[Answer(text="dead")])

    assert answer.read(table, reply(200, b"fine, or dead")).validity is Validity.unknown


@pytest.mark.parametrize("body", [{}, {"viewer": None}, [], {"viewer": {}}])
def test_nothing_and_null_are_the_same(body: Any) -> None:
    there = LiveCheck("https://a.acme.com", active=[Answer(json={"viewer": "*"})])
    missing = LiveCheck("https://a.acme.com", active=[Answer(json={"viewer": "-"})])

    assert (answer.read(there, reply(200, body)).validity is Validity.active) is (body == {"viewer": {}})
    assert (answer.read(missing, reply(200, body)).validity is Validity.active) is (body != {"viewer": {}})


def test_secret_and_companion_that_do_not_belong_together_tell_nothing() -> None:
    table = LiveCheck("https://a.acme.com", unsure=[Answer([403], text="SignatureDoesNotMatch")])

    assert answer.read(table, reply(403, b"<Code>SignatureDoesNotMatch</Code>")) == Outcome(Validity.unknown, "unsure")


def test_facts_come_from_the_body_and_from_headers() -> None:
    table = LiveCheck(
        "https://a.acme.com", facts={"account": "user.login", "scopes": "header:X-OAuth-Scopes", "admin": "admin", "roles": "r"}
    )

    found = answer.read(table, reply(200, {"user": {"login": "bob"}, "admin": True, "r": ["a", "b"]}, x_oauth_scopes="repo"))

    assert found.facts == {"account": "bob", "scopes": "repo", "admin": "true", "roles": "a, b"}


def test_a_dead_secret_gives_no_facts() -> None:
    table = LiveCheck("https://a.acme.com", facts={"message": "message"})

    assert answer.read(table, reply(401, {"message": "no"})).facts == {}


@pytest.mark.parametrize("value", ["key s3cr3t-value is fine", {"a": 1}, [["x"]], None, "", "a\nb", "\x1b[31m"])
def test_facts_that_hold_the_secret_or_are_none_are_left_out(value: Any) -> None:
    assert answer.scrubbed({"fact": value}, [b"s3cr3t-value"]) == {}


def test_long_facts_are_cut() -> None:
    assert answer.scrubbed({"fact": "x" * 1000}, []) == {"fact": "x" * answer.LONGEST_FACT}


def test_a_part_of_the_secret_at_the_cut_is_left_out() -> None:
    assert answer.scrubbed({"fact": "x" * 195 + "s3cr3t-value"}, [b"s3cr3t-value"]) == {}


STRIPE = LiveCheck("https://api.stripe.com/v1/account", reader="stripe", active=[], inactive=[], facts={"account": "id"})


def stripe_error(**fields: Any) -> dict[str, Any]:
    return {"error": {"type": "invalid_request_error", "message": "made up", **fields}}


@pytest.mark.parametrize(
    ("status", "body", "validity", "reason"),
    [
        (200, {"id": "acct_1", "object": "account"}, Validity.active, "accepted"),
        (401, stripe_error(message="Invalid API Key provided: sk_live_****"), Validity.inactive, "refused"),
        (401, stripe_error(code="api_key_expired"), Validity.inactive, "expired"),
        (401, stripe_error(code="platform_api_key_expired"), Validity.inactive, "expired"),
        (403, stripe_error(code="more_permissions_required"), Validity.active, "limited"),
        (402, stripe_error(type="card_error", code="card_declined"), Validity.active, "limited"),
        (400, stripe_error(payment_intent={"id": "pi_1"}), Validity.active, "limited"),
        (400, stripe_error(setup_intent={"id": "seti_1"}), Validity.active, "limited"),
        (401, stripe_error(payment_intent={"id": "pi_1"}), Validity.active, "limited"),
        (400, stripe_error(code="parameter_missing"), Validity.active, "limited"),
        (400, stripe_error(type="idempotency_error"), Validity.active, "limited"),
        (429, stripe_error(code="rate_limit"), Validity.unknown, "rate_limited"),
        (500, stripe_error(type="api_error"), Validity.unknown, "server_error"),
        (400, stripe_error(type="api_error"), Validity.unknown, "unexpected_answer"),
        (401, {"message": "of a proxy"}, Validity.unknown, "unexpected_answer"),
        (200, {"hello": "world"}, Validity.unknown, "unexpected_answer"),
        (401, {"error": "a string"}, Validity.unknown, "unexpected_answer"),
    ],
)
def test_stripe_is_read_by_its_error_object(status: int, body: Any, validity: Validity, reason: str) -> None:
    found = answer.read(STRIPE, reply(status, body))

    assert (found.validity, found.reason) == (validity, reason)


def test_stripes_links_are_facts_and_its_message_is_not() -> None:
    error = stripe_error(
        code="api_key_expired",
        doc_url="https://stripe.com/docs/error-codes/api-key-expired",
        request_log_url="https://dashboard.stripe.com/logs/req_1",
    )

    assert answer.read(STRIPE, reply(401, error)).facts == {
        "error_type": "invalid_request_error",
        "error_code": "api_key_expired",
        "doc_url": "https://stripe.com/docs/error-codes/api-key-expired",
        "request_log_url": "https://dashboard.stripe.com/logs/req_1",
    }


def test_every_reason_has_words() -> None:
    assert all(text and text[0].islower() and not text.endswith(".") for text in answer.REASONS.values())
