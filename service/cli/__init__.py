"""The command line: one file a command, found by its name.

A command's module has ``HELP``, ``configure(parser)`` and ``run(arguments)``; what is slow to import it imports in ``run``.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from typing import Protocol, cast

from service import __version__
from service.errors import ExitCode, SluiceError
from service.telemetry import crash


class Command(Protocol):
    """What a command's module offers."""

    HELP: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declares the arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Does the work; the exit status."""


def commands() -> dict[str, Command]:
    """Every command by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return {name.replace("_", "-"): cast(Command, importlib.import_module(f"{__name__}.{name}")) for name in names}


def parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    top = argparse.ArgumentParser(
        prog="sluice",
        description="Finds leaked secrets in streams of code and log events, as they happen.",
        epilog="Begin with `sluice demo`, or try `sluice scan .` in a folder of yours.",
    )
    top.add_argument("--version", action="version", version=f"sluice {__version__}")
    below = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in commands().items():
        one = below.add_parser(
            name,
            help=command.HELP,
            description=(command.__doc__ or "").strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.configure(one)
        one.set_defaults(run=command.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; what a user can put right is told in one line, without a trace."""
    parsed = parser().parse_args(arguments)
    if arguments is None:  # the process is ours
        crash.install()
    try:
        status: int = parsed.run(parsed)
    except SluiceError as error:
        print(f"sluice: {error}", file=sys.stderr)
        return ExitCode.failed
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.ok
    except Exception as error:  # noqa: BLE001 - a fault of ours is no finding: 1 would say so
        crash.to_stderr("this is a fault in Sluice; please report these lines, they hold no input", crash.report(error))
        return ExitCode.failed
    return status
