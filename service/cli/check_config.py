"""Check the settings without starting: the file, the environment, the relations between them, the detectors.

sluice check-config sluice.toml
"""

from __future__ import annotations

import argparse
from pathlib import Path

from service.errors import ExitCode

HELP = "check the settings"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments."""
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="settings, TOML")


def run(arguments: argparse.Namespace) -> int:
    """Says what would be used."""
    import msgspec

    from service import app, settings

    loaded = settings.load(arguments.file)
    app.prove(loaded)
    database, _ = app.load_database([Path(folder) for folder in loaded.detect.folders], loaded.detect.disable)
    app.prove_probe(loaded.probe, database.detectors)
    for section, values in msgspec.to_builtins(loaded).items():
        for key, value in values.items():
            shown = "(set)" if (section, key) in settings.SECRET_KEYS and value else value
            print(f"{section}.{key} = {shown!r}")
    if not loaded.fingerprint.key:
        print("note: fingerprint.key is not set; `sluice run` will ask for it")
    print(f"good: {len(database.detectors)} detectors")
    return ExitCode.ok
