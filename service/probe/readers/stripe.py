"""Stripe's answers, by their error object: ``type``, ``code``, ``message``, ``doc_url``, ``request_log_url``.

Only an error of authentication says that the key is dead. Every other error is about what was asked, and Stripe looks at
that after it knew the key: a declined card, an intent that cannot be confirmed, a permission that a restricted key lacks.
Source: docs.stripe.com/api/errors and docs.stripe.com/error-codes.
"""

from __future__ import annotations

from typing import Any, Final

from service.probe.answer import Outcome, Reply, general
from service.records import Validity

_EXPIRED: Final = frozenset(("api_key_expired", "platform_api_key_expired"))
_ABOUT_THE_CALL: Final = frozenset(("card_error", "idempotency_error", "invalid_request_error"))
_INTENTS: Final = ("payment_intent", "setup_intent", "payment_method", "charge")
_TOLD: Final = {"error_type": "type", "error_code": "code", "doc_url": "doc_url", "request_log_url": "request_log_url"}


def read(reply: Reply, document: Any) -> Outcome:
    """What Stripe says of the key."""
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        if reply.status == 200 and isinstance(document, dict) and isinstance(document.get("object"), str):
            return Outcome(Validity.active, "accepted")
        return Outcome(Validity.unknown, "page" if reply.is_page else general(reply.status))
    kind, code = error.get("type"), error.get("code")
    facts = {name: value for name, key in _TOLD.items() if isinstance(value := error.get(key), str)}
    if kind == "card_error" or any(error.get(intent) for intent in _INTENTS):
        return Outcome(Validity.active, "limited", facts)
    if code in _EXPIRED:
        return Outcome(Validity.inactive, "expired", facts)
    if reply.status == 401 and kind in ("invalid_request_error", "authentication_error"):
        return Outcome(Validity.inactive, "refused", facts)
    if reply.status == 429 or reply.status >= 500 or kind == "api_error":
        return Outcome(Validity.unknown, general(reply.status))
    if kind in _ABOUT_THE_CALL and 400 <= reply.status < 500:
        return Outcome(Validity.active, "limited", facts)
    return Outcome(Validity.unknown, general(reply.status))
