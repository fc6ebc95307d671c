"""Detector files: each mistake is told with file, detector and key."""

from pathlib import Path

import pytest

from service.detect import catalogue
from service.detect.catalogue import Source
from service.errors import DetectorError
from service.judge import evidence

GOOD = """
provider = "Acme"
[[secret]]
id = "acme-token"
name = "Acme token"
severity = "high"
expression = 'acme_[a-z0-9]{32}'
examples = ["TOKEN={secret}"]
"""


def load(text: str) -> list[catalogue.Detector]:
    return catalogue.load([Source("cloud", "cloud/acme.toml", text.encode())], evidence.names())


def test_a_good_file_gives_its_detectors() -> None:
    (detector,) = load(GOOD)

    assert (detector.id, detector.provider, detector.category, detector.prefixes) == (
        "acme-token",
        "Acme",
        "cloud",
        (b"acme_",),
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('provider = "Acme"', "", "provider"),
        ('severity = "high"', 'severity = "awful"', "severity"),
        ('severity = "high"', "", "severity"),
        ('name = "Acme token"', "name = 5", "acme-token: Expected `str`"),
        ("acme_[a-z0-9]{32}", "acme_(", "acme-token: expression"),
        ("acme_[a-z0-9]{32}", "a", "acme-token: expression"),
        ('examples = ["TOKEN={secret}"]', "examples = []", "acme-token: examples"),
        ('examples = ["TOKEN={secret}"]', 'examples = ["TOKEN="]', "acme-token: examples"),
        ('id = "acme-token"', 'id = "Acme Token"', "id: lower-case"),
        ('name = "Acme token"', 'name = "x"\nkeyword = ["a"]', "unknown field `keyword`"),
        ('name = "Acme token"', 'name = "x"\nkeywords = ["dd"]', "acme-token: keywords"),
        ('name = "Acme token"', 'name = "x"\nchecks = ["crc99"]', "acme-token: checks: there is no check named 'crc99'"),
        ('name = "Acme token"', 'name = "x"\nboundary = "wall"', "acme-token: boundary"),
        ('provider = "Acme"', "provider = ", "no TOML"),
    ],
)
def test_each_mistake_is_told_with_file_detector_and_key(old: str, new: str, told: str) -> None:
    with pytest.raises(DetectorError) as error:
        load(GOOD.replace(old, new))

    assert str(error.value).startswith("cloud/acme.toml: ")
    assert told in str(error.value)


def test_an_id_stands_once_in_a_file() -> None:
    with pytest.raises(DetectorError, match="twice"):
        load(GOOD + GOOD.replace('provider = "Acme"', ""))


def test_a_later_folder_overrides_by_id(tmp_path: Path) -> None:
    for folder, name in (("one", "first"), ("two", "second")):
        (tmp_path / folder / "cloud").mkdir(parents=True)
        (tmp_path / folder / "cloud" / f"{name}.toml").write_text(GOOD.replace("Acme token", name))

    detectors = catalogue.load(catalogue.read([tmp_path / "one", tmp_path / "two"]))

    assert [detector.name for detector in detectors] == ["second"]


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="no such folder"):
        catalogue.read([tmp_path / "none"])


def test_the_digest_follows_the_content() -> None:
    one = Source("cloud", "cloud/a.toml", b"1")

    assert catalogue.digest([one]) == catalogue.digest([one])
    assert catalogue.digest([one]) != catalogue.digest([Source("cloud", "cloud/a.toml", b"2")])
    assert catalogue.digest([one]) != catalogue.digest([Source("cloud", "cloud/b.toml", b"1")])


def with_knowledge(said: str) -> Source:
    return Source("cloud", "cloud/acme.toml", GOOD.replace("[[secret]]", f"[knowledge]\n{said}\n[[secret]]").encode())


def test_knowledge_of_a_provider_is_read_from_its_file_and_kept_out_of_its_detectors() -> None:
    source = with_knowledge('audit = "Logs"\nparallel = false')

    known = catalogue.knowledge([source, Source("x", "x/y.toml", b"not TOML at all")], "Acme")

    assert (known.audit, known.parallel, known.scopes) == ("Logs", False, "")
    assert catalogue.load([source]) == load(GOOD)


def test_a_later_file_adds_to_what_is_known_of_a_provider() -> None:
    known = catalogue.knowledge([with_knowledge('audit = "Logs"\nscopes = "Two"'), with_knowledge('scopes = "Three"')], "Acme")

    assert (known.audit, known.scopes) == ("Logs", "Three")


def test_an_unknown_key_of_knowledge_is_told() -> None:
    with pytest.raises(DetectorError, match=r"cloud/acme\.toml: .*`adit`"):
        catalogue.load([with_knowledge('adit = "Logs"')])
