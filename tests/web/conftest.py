"""The whole catalogue and all its playbooks, loaded once."""

from collections.abc import Mapping

import pytest

from service import app
from service.web.document import Document
from service.web.library import Library


@pytest.fixture(scope="session")
def library() -> Library:
    loaded, _ = app.load_database()
    return Library(loaded.detectors)


@pytest.fixture(scope="session")
def documents(library: Library) -> Mapping[str, Document]:
    return {detector.id: library.playbook(detector) for detector in library.detectors}
