"""No playbook holds what looks like a secret: Sluice's own scanner is asked."""

import io
from collections.abc import Mapping

from service import app
from service.records import Confidence
from service.sources import scanning
from service.web import as_markdown
from service.web.document import Document


def test_our_own_scanner_finds_nothing_in_any_playbook(documents: Mapping[str, Document]) -> None:
    loaded, _ = app.load_database()
    inspector = app.inspector(loaded, Confidence.medium)

    pages = {name: as_markdown.render(document).encode() for name, document in documents.items()}
    found = [
        (name, one.finding.candidate.detector.id, page[one.finding.candidate.place.start - 60 :][:100])
        for name, page in pages.items()
        for one in scanning.stream(io.BytesIO(page), inspector)
    ]

    assert found == []
    assert len(pages) > 1_500
