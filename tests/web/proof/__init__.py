"""What the proofs of the playbooks' code and pages need: see ``make proofs``."""

import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent.parent.parent / ".cache" / "proofs"


def installed() -> Path:
    """The folder that ``make proofs`` fills; the test is skipped where it is empty, but fails in CI."""
    if (FOLDER / ".installed").is_file():
        return FOLDER
    message = "`make proofs` installs what this test runs against"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
