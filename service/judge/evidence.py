"""The offline checks by name: every file of ``service/judge/checks/`` is one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Protocol, cast

from service.judge import checks as _package
from service.records import CheckResult


class Check(Protocol):
    """What a module of ``service/judge/checks/`` offers; ``complete`` is optional, and so is ``PROVES``: True where a check
    that passes is no chance, whatever the secret looks like. A structure can be filled with anything; a checksum cannot.
    """

    NAME: str

    def check(self, secret: bytes, before: bytes, after: bytes) -> CheckResult:
        """What the algorithm says of a secret and what stands around it. Total: no bytes make it raise."""


@cache
def names() -> frozenset[str]:
    """The names of all checks, as detectors write them; no check is imported for it."""
    return frozenset(module.name.replace("_", "-") for module in pkgutil.iter_modules(_package.__path__))


@cache
def by_name(name: str) -> Check:
    """The check of this name.

    Raises:
        KeyError: there is none.
    """
    if name not in names():
        raise KeyError(name)
    return cast(Check, importlib.import_module(f"{_package.__name__}.{name.replace('-', '_')}"))


@cache
def proves(name: str) -> bool:
    """True if nobody made up what passes this check: it is a checksum over all of the secret."""
    return bool(getattr(by_name(name), "PROVES", False))


def complete(name: str, secret: bytes) -> bytes:
    """A string of the same shape for which the check passes; the string itself where the check needs nothing of the kind."""
    completing = getattr(by_name(name), "complete", None)
    return cast(bytes, completing(secret)) if completing else secret
