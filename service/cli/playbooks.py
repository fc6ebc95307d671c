"""The playbooks of all secret types as a static site.

sluice playbooks build site/             1,900 pages that any web server can serve; no script, nothing from elsewhere
sluice playbooks build site/ --folder my-detectors/

The running service serves the same pages, with a search, under /playbooks/ of its endpoint.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from service.errors import ExitCode

HELP = "write the playbooks of all secret types as a static site"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    below = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = below.add_parser("build", help="write the site into a folder")
    build.add_argument("folder", type=Path, metavar="DIR")
    build.add_argument(
        "--folder", action="append", default=[], type=Path, metavar="DIR", dest="own", help="detector files of your own"
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes the site."""
    from rich.progress import track

    from service import app
    from service.web import static
    from service.web.library import Library

    loaded, _ = app.load_database(arguments.own)
    library = Library(loaded.detectors, arguments.own)
    total = 3 + len(library.categories) + len(library.providers) + len(library)
    pages = static.build(library, arguments.folder)
    written = max(track(pages, "Writing", total, disable=not sys.stderr.isatty(), transient=True), default=0)
    print(f"{written - 1:,} pages in {arguments.folder}: open {arguments.folder / 'index.html'}", file=sys.stderr)
    return ExitCode.ok
