"""Telegram bot tokens: the bot's number, a colon, ``AA`` and 33 characters."""

from __future__ import annotations

from typing import Final

from service.records import CheckResult

NAME: Final = "telegram-bot-token"


def check(secret: bytes, before: bytes, after: bytes) -> CheckResult:
    """Neutral, with the bot's number as a fact: the format holds nothing that proves it."""
    number = secret.partition(b":")[0]
    facts = {"telegram_bot": number.decode()} if number.isdigit() else {}
    return CheckResult("neutral", "a format of its own", facts)
