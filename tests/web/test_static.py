"""The static site: every page, every link, and nothing overwritten that is not its own."""

from pathlib import Path
from posixpath import dirname, join, normpath

import pytest

from service import cli
from service.errors import SluiceError
from service.web import static
from service.web.library import Library
from tests.web.test_pages import Parsed


@pytest.fixture(scope="module")
def small(library: Library) -> Library:
    return Library([one for one in library.detectors if one.category in ("payment", "generic")][:60])


def test_every_link_of_every_page_leads_to_a_page_of_the_site(small: Library) -> None:
    site = dict(static.files(small))

    assert {f"{one.id}/index.html" for one in small.detectors} < set(site)
    for path, content in site.items():
        if path.endswith(".html"):
            for link in Parsed(content).all("href"):
                if not link.startswith(("https:", "#")):
                    assert normpath(join(dirname(path), link)) in site, (path, link)


def test_no_form_asks_a_server_that_is_not_there(small: Library) -> None:
    assert all("<form" not in content for _, content in static.files(small))


def test_it_is_written_and_written_again(small: Library, tmp_path: Path) -> None:
    list(static.build(small, tmp_path / "site"))
    list(static.build(small, tmp_path / "site"))

    assert (tmp_path / "site" / small.detectors[0].id / "index.html").read_text().startswith("<!doctype html>")


def test_a_folder_with_something_else_in_it_is_left_alone(small: Library, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(SluiceError, match="an empty folder expected"):
        list(static.build(small, tmp_path))


def test_a_folder_that_cannot_be_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert cli.main(["playbooks", "build", str(tmp_path / "file")]) == 2
    assert "cannot be written" in capsys.readouterr().err
