"""Expressions over bytes that run in time linear in the text, by RE2.

For those that users write, and for those that end at the end of the text: an engine that backtracks tries the latter from every
place before it.
"""

from __future__ import annotations

from typing import Any, Final

import re2

_BYTES: Final = re2.Options()
_BYTES.encoding = re2.Options.Encoding.LATIN1
_BYTES.log_errors = False


def compiled(expression: bytes) -> Any:
    """The expression, ready to search.

    Raises:
        re2.error: RE2 refuses it.
    """
    return re2.compile(expression, _BYTES)
