"""Exceptions and exit codes.

Everything that a user can put right is a :class:`SluiceError`: the command line prints its text alone, without a trace.
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Sequence


class ExitCode(enum.IntEnum):
    """What a command's exit status says."""

    ok = 0
    """Done; for ``scan``: nothing found."""
    findings = 1
    """``scan`` found something; ``check`` and ``recheck``: a secret is live."""
    failed = 2
    """The command could not do its work."""
    unknown = 3
    """``check`` and ``recheck``: nobody could tell whether the secret is live."""


class SluiceError(Exception):
    """Something that a user can put right; its text names the thing, its place and what was expected."""


class ExpressionError(SluiceError):
    """An expression is outside the subset that every stage of the engine can carry."""


class DetectorError(SluiceError):
    """A detector file is wrong; the text names file, detector and key."""


class DatabaseError(SluiceError):
    """The expressions cannot be compiled into a database."""


class SettingsError(SluiceError):
    """A setting is wrong or unknown; the text names the key, where it was read and what was expected."""


class SourceError(SluiceError):
    """The broker cannot be reached, or does not let us do what we have to."""


class UndecodableError(Exception):
    """A record cannot be processed whole; ``reason`` is from the closed list that dead letters carry."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TooManyDeadLettersError(SluiceError):
    """Dead letters passed the limit: the consumer stops instead of emptying a topic into the dead letters."""


def nearest(word: str, known: Sequence[str]) -> str:
    """What was probably meant by a word that is not among the known ones, for the end of an error's text."""
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"one of {', '.join(known)} expected"
