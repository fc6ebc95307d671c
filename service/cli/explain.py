"""What to do when a secret of a type has leaked: its playbook.

sluice explain wepay-access-token
sluice explain stripe-live-secret-key --language go
sluice explain stripe-live-secret-key --format html > page.html
sluice explain --alert alert.json         the place and history of this alert filled in; - reads standard input
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import ExitCode, SluiceError

if TYPE_CHECKING:
    from service.web.playbook import Alert

HELP = "what to do when a secret of a type has leaked"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("id", nargs="?", metavar="ID", help="the secret type, as `sluice detectors list` calls it")
    parser.add_argument("--alert", metavar="FILE", help="a published alert in JSON, - for standard input")
    parser.add_argument("--format", choices=("text", "markdown", "html", "json"), default="text")
    parser.add_argument(
        "--language",
        action="append",
        default=[],
        metavar="NAME",
        help="the language of the code that reads the secret, or all; repeatable. In text that of the alert's file, or Python",
    )
    parser.add_argument("--folder", action="append", default=[], type=Path, metavar="DIR", help="detector files of your own")


def run(arguments: argparse.Namespace) -> int:
    """Prints a playbook."""
    from service import app
    from service.web.library import Library

    if arguments.id is None and arguments.alert is None:
        raise SluiceError("explain: the id of a secret type expected, or --alert FILE; `sluice detectors list` shows all ids")
    loaded, _ = app.load_database(arguments.folder)
    library = Library(loaded.detectors, arguments.folder)
    alert, told = _alert(arguments.alert) if arguments.alert else (None, None)
    detector = library.detector(arguments.id or told or "")
    if told is not None and told != detector.id:
        raise SluiceError(f"{arguments.alert}: this alert is of {told}, not of {detector.id}")
    document = library.playbook(detector, alert, _languages(arguments, alert))
    if arguments.format == "json":
        import msgspec

        from service.web.document import as_json

        print(msgspec.json.format(msgspec.json.encode(as_json(document)), indent=1).decode())
    elif arguments.format == "html":
        from service.web import as_html

        print(as_html.alone(document))
    elif arguments.format == "markdown":
        from service.web import as_markdown

        print(as_markdown.render(document), end="")
    else:
        from rich.console import Console

        from service.web import as_terminal

        console = Console(highlight=False)
        console.width = min(console.width, 100) if console.is_terminal else 100
        as_terminal.show(document, console)
    return ExitCode.ok


def _languages(arguments: argparse.Namespace, alert: Alert | None) -> list[str]:
    from service.errors import nearest
    from service.web import snippets

    known = list(snippets.languages())
    for language in arguments.language:
        if language not in (*known, "all"):
            raise SluiceError(f"--language {language}: there is no such language; {nearest(language, [*known, 'all'])}")
    if "all" in arguments.language or (not arguments.language and arguments.format != "text"):
        return known
    if arguments.language:
        return list(arguments.language)
    own = snippets.language_of(alert.location.path) if alert and alert.location.path else None
    return [own or "python"]


def _alert(file: str) -> tuple[Alert, str]:
    import json

    import msgspec

    from service.web import playbook

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
        document = json.loads(text)
        identity = document["detector"]["id"]
        if not isinstance(identity, str):
            raise TypeError
        return playbook.alert_of(document), identity
    except OSError as error:
        raise SluiceError(f"{file}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f" ({error})" if isinstance(error, msgspec.ValidationError) else ""
        raise SluiceError(f"{file}: a published alert (sluice.alert/1) in JSON expected{why}") from error
