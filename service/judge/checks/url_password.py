"""Passwords in URLs: the host and the word tell whether somebody meant it."""

from __future__ import annotations

from typing import Final

from service.judge.placeholder import placeholder
from service.records import CheckResult

NAME: Final = "url-password"


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Placeholder for templates and masks, otherwise neutral."""
    clause = placeholder(secret)
    return CheckResult("placeholder", clause) if clause else CheckResult("neutral", "a password in a URL")
