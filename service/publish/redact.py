"""The one place where a secret becomes text that may be shown.

The rule: of what the detector's format fixes (``ghp_``, ``sk_live_``) everything, of the rest at most the last
:data:`SHOWN` characters, and those only where at least :data:`LEAST_HIDDEN` stay hidden.
"""

from __future__ import annotations

from typing import Final

from service.records import Secret

SHOWN: Final = 4
LEAST_HIDDEN: Final = 16
MASK: Final = "****"


def redact(secret: Secret, prefix: bytes = b"") -> str:
    """The masked form of a secret.

    Args:
        secret: the secret.
        prefix: how every secret of the type begins; shown if this one does begin so.
    """
    value = secret.reveal()
    shared = prefix if value.startswith(prefix) else b""
    rest = len(value) - len(shared)
    if rest < 8:  # too little would stay hidden: the prefix is not shown either
        return MASK
    tail = value[-SHOWN:] if rest - SHOWN >= LEAST_HIDDEN and value[-SHOWN:].isalnum() else b""
    return shared.decode("utf-8", "replace") + MASK + tail.decode("ascii", "replace")
