"""What is known of providers, and how playbooks are found."""

import re
from pathlib import Path

import pytest

from service.detect import catalogue
from service.errors import SluiceError
from service.records import Knowledge
from service.web.document import is_sound
from service.web.library import Library

SENTENCES = ("about", "create", "audit", "scopes", "rotation", "scanning")


@pytest.fixture(scope="module")
def known(library: Library) -> dict[str, Knowledge]:
    found = {group.label: library.knowledge(group.label) for group in library.providers}
    return {name: one for name, one in found.items() if one != Knowledge()}


def test_at_least_150_providers_are_known(known: dict[str, Knowledge]) -> None:
    assert len(known) >= 150
    assert sum(bool(one.audit) for one in known.values()) >= 150
    assert sum(bool(one.rotation) for one in known.values()) >= 150
    assert sum(one.partner for one in known.values()) >= 60


def test_what_is_known_is_written_in_whole_sentences(known: dict[str, Knowledge]) -> None:
    for name, one in known.items():
        for key in SENTENCES:
            text = getattr(one, key)
            assert text == text.strip(), (name, key)
            assert not text or re.search(r"[.)`]$", text), (name, key, text)
            assert not text or (text[0].isupper() or text[0].isdigit() or text[0] in "`/" or text.split()[0] in STARTS), (
                name,
                key,
            )
            assert text.count("`") % 2 == 0, (name, key)


STARTS = {"ngrok", "npm", "eBay", "xAI", "lichess.org", "accounts.zoho.com"}


def test_links_of_what_is_known_are_sound(known: dict[str, Knowledge]) -> None:
    for name, one in known.items():
        for told, address in one.links.items():
            assert is_sound(address), (name, address)
            assert told[0].isupper() or told[0].isdigit(), (name, told)


def test_a_folder_of_ones_own_adds_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "cloud").mkdir()
    (tmp_path / "cloud" / "acme.toml").write_text('provider = "Acme"\nsecret = []\n\n[knowledge]\naudit = "Ask Ada."\n')
    library = Library([], [tmp_path])

    assert library.knowledge("Acme").audit == "Ask Ada."
    assert library.knowledge("Stripe").audit != ""
    assert library.knowledge("Nobody") == Knowledge()


def test_a_file_that_was_spoilt_later_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "cloud").mkdir()
    (tmp_path / "cloud" / "acme.toml").write_text('provider = "Acme"\n[knowledge]\naudit = \n')

    assert Library([], [tmp_path]).knowledge("Acme") == Knowledge()


def test_an_unknown_id_is_told_with_near_ones(library: Library) -> None:
    with pytest.raises(SluiceError, match="did you mean wepay-access-token"):
        library.detector("wepay_acces_token")


def test_every_secret_type_is_in_one_category_and_one_provider(library: Library) -> None:
    for groups in (library.categories, library.providers):
        assert sorted(one.id for group in groups for one in group.detectors) == sorted(one.id for one in library.detectors)
        assert len({group.slug for group in groups}) == len(groups)
        assert all(re.fullmatch(r"[a-z0-9-]+", group.slug) for group in groups)


def test_search_asks_for_every_word(library: Library) -> None:
    assert [one.id for one in library.search("wepay client secret")] == ["wepay-client-secret"]
    assert library.search("zzzz wepay") == []
    assert library.search("") == []


def test_knowledge_stays_out_of_the_database() -> None:
    source = catalogue.read()[0]

    assert not hasattr(catalogue.load([source])[0], "knowledge")
