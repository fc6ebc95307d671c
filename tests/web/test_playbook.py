"""Playbooks: one for every detector, whole, readable, and true to the alert that it is asked for."""

import functools
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from service.publish.remediation import Kind, kind
from service.records import Answer, Detector, Knowledge, LiveCheck, Location, Revocation, Severity, Validity
from service.web import playbook
from service.web.document import Block, Code, Document, Fold, Links, Note, Steps, is_sound, plain, texts
from service.web.library import Library
from service.web.playbook import Alert

ALWAYS = ["first", "what", "revoke", "used", "stops", "clean", "leak", "risk", "made", "prevent"]


def detector(**changes: Any) -> Detector:
    given: dict[str, Any] = {
        "id": "acme-api-key",
        "name": "Acme API key",
        "provider": "Acme",
        "category": "payment",
        "severity": Severity.high,
        "expression": "acme_[a-z]{20}",
        "examples": ["ACME_API_KEY={secret}"],
        "risk": "Reads every customer.",
    }
    return Detector(**{**given, **changes})


def section(document: Document, wanted: str) -> str:
    """The text of a section, its code included."""

    def flat(blocks: Sequence[Block]) -> Iterator[str]:
        for block in blocks:
            if isinstance(block, Fold):
                yield block.title
                yield from flat(block.blocks)
            elif isinstance(block, Code):
                yield block.code
            elif isinstance(block, Links):
                yield from (address for _, address in block.rows)
            else:
                yield from texts([block])

    return "\n".join(text for one in document.sections if one.id == wanted for text in flat(one.blocks))


@functools.cache
def syllables(word: str) -> int:
    """Groups of vowels, a silent e at the end left out: what Flesch's formula is usually fed with."""
    found = len(re.findall(r"[aeiouy]+", word.lower()))
    return max(1, found - (word.lower().endswith("e") and not word.lower().endswith(("le", "ee")) and found > 1))


def reading_ease(document: Document) -> float:
    """Flesch's reading ease of the sentences: 100 is very easy, 60 to 70 plain English, below 50 hard."""
    sentences = [
        part
        for section in document.sections
        for text in texts(section.blocks)
        for part in re.split(r"(?<=[.:?!])\s+", re.sub(r"`[^`]*`|\S+(?: > \S+)+|https?://\S+", "x", text))
        if len(part.split()) > 2
    ]
    words = [word for part in sentences for word in re.findall(r"[A-Za-z']+", part)]
    return 206.835 - 1.015 * len(words) / len(sentences) - 84.6 * sum(map(syllables, words)) / len(words)


def test_there_is_a_playbook_for_every_detector(library: Library, documents: Mapping[str, Document]) -> None:
    assert len(documents) == len(library.detectors) > 1_500


def test_every_playbook_has_its_sections_and_none_is_empty(library: Library, documents: Mapping[str, Document]) -> None:
    for name, document in documents.items():
        found = [one.id for one in document.sections]
        assert [one for one in found if one in ALWAYS] == ALWAYS, name
        assert "read" in found or kind(library.detector(name)) is Kind.hash, name
        for one in document.sections:
            said = section(document, one.id).strip()
            assert len(said) > 15, (name, one.id)


def test_no_text_has_a_name_left_in_braces_or_a_gap(documents: Mapping[str, Document]) -> None:
    for name, document in documents.items():
        for one in document.sections:
            for text in texts(one.blocks):
                assert text.strip() == text, (name, one.id, text)
                assert text, (name, one.id)
                assert not re.search(
                    r"\{(?:name|provider|variable|path|field|where)\}|  |\.\.(?!\.)| \.(?!\w)|: \.|`\s*`", text
                ), (
                    name,
                    text,
                )


def test_every_link_is_well_formed(documents: Mapping[str, Document]) -> None:
    for name, document in documents.items():
        for one in document.sections:
            for block in one.blocks:
                if isinstance(block, Links):
                    assert all(is_sound(address) and told.strip() for told, address in block.rows), name


def test_it_is_written_in_plain_english(documents: Mapping[str, Document]) -> None:
    eases = {name: reading_ease(document) for name, document in documents.items()}

    assert min(eases.values()) > 55, min(eases, key=lambda name: eases[name])
    assert sum(eases.values()) / len(eases) > 62


def test_names_of_no_other_provider_stand_in_a_providers_own_text(library: Library) -> None:
    """Names that are ordinary words are left out; so are owners and platforms that a text may speak of."""
    ordinary = {
        "Generic",
        "Private key",
        "Password hash",
        "JSON Web Token",
        "Web frameworks",
        "GitHub",
        "Google",
        "Slack",
        "Kubernetes",
    }
    names = {one.label for one in library.providers if len(one.label) > 6 and one.label[0].isupper()} - ordinary
    wrong = []
    for found in library.detectors:
        knowledge = library.knowledge(found.provider)
        own = [
            found.use,
            found.risk,
            knowledge.audit,
            knowledge.scopes,
            knowledge.rotation,
            knowledge.create,
            knowledge.scanning,
        ]
        said = " ".join(own)
        wrong += [
            (found.id, name)
            for name in names
            if name in said and not _related(name, found) and re.search(rf"\b{re.escape(name)}\b", said)
        ]
    assert wrong == []


def _related(name: str, found: Detector) -> bool:
    """True where one provider may name the other: it belongs to it, connects to it, or is in :data:`RELATED`."""
    own = f"{found.provider} {found.name} {found.id} {found.documentation}".lower()
    return any(word in own for word in re.findall(r"[a-z0-9]{4,}", name.lower())) or (found.provider, name) in RELATED


RELATED = {("Aiven", "PostgreSQL"), *(("Atlassian", name) for name in ("Bitbucket", "Opsgenie", "Statuspage"))}


def test_the_place_of_the_alert_decides_which_reason_comes_first() -> None:
    def first(**place: Any) -> str:
        document = playbook.write(detector(), None, Alert(location=Location(**place)))
        (leak,) = [one for one in document.sections if one.id == "leak"]
        note = leak.blocks[1]
        assert isinstance(note, Note)
        return note.text

    assert first(type="log", field="message").startswith("Written to a log.")
    assert first(type="code", path=".github/workflows/ci.yml").startswith("Kept in the definition of a build.")
    assert first(type="code", path="deploy/.env.production").startswith("A file of local settings was committed.")
    assert first(type="code", path="docker/Dockerfile").startswith("Built into an image.")
    assert first(type="code", path="infra/main.tf").startswith("Kept with the infrastructure code.")
    assert first(type="code", path="analysis.ipynb").startswith("Kept in a notebook.")
    assert first(type="code", path="tests/test_pay.py").startswith("A real secret in a test.")
    assert first(type="code", path="src/pay.py").startswith("Hard-coded.")
    assert first(type="unknown", field="request.url").startswith("Sent in a web address or a header.")


def test_an_alert_fills_in_its_place_and_its_history() -> None:
    where = Location(type="code", repository="acme/shop", path="src/pay.go", line=7, commit="c0ffee", author="Ada")
    alert = Alert(
        location=where,
        validity=Validity.active,
        occurrences=3,
        first_seen="2026-01-02",
        redacted="acme_****",
        confidence="high",
    )

    document = playbook.write(detector(), None, alert)

    said = section(document, "alert")
    assert all(
        word in said for word in ("acme/shop", "src/pay.go", "7", "c0ffee", "Ada", "3", "2026-01-02", "acme_****", "yes: the")
    )
    assert "It is live" in section(document, "first")
    assert "src/pay.go line 7 of acme/shop" in section(document, "first")
    assert "git log --oneline --all -- src/pay.go" in section(document, "clean")
    assert section(document, "read").index("Go\n") < section(document, "read").index("Python\n")


def test_a_path_from_outside_is_quoted_for_the_shell() -> None:
    where = Location(type="code", path="a b; rm -rf $(x)")

    assert "-- 'a b; rm -rf $(x)'" in section(playbook.write(detector(), None, Alert(location=where)), "clean")


def test_what_is_known_of_the_provider_goes_before_what_is_true_of_all() -> None:
    known = Knowledge(
        audit="Dashboard > Logs shows each call.",
        scopes="Keys can be read-only.",
        rotation="Two keys can be active.",
        parallel=True,
        create="Settings > Keys > New.",
        scanning="Acme revokes keys that it finds.",
        links={"Keys": "https://acme.invalid/keys", "Bad": "javascript:alert(1)"},
    )

    document = playbook.write(detector(revoke=Revocation(console="Settings > Keys > Delete")), known)

    assert "Dashboard > Logs shows each call." in section(document, "used")
    assert "Sluice does not know" not in section(document, "used")
    assert "Two keys can be active." in section(document, "revoke")
    assert "Settings > Keys > New." in section(document, "revoke")
    assert "Settings > Keys > Delete" in section(document, "revoke")
    assert "Acme revokes keys that it finds." in section(document, "revoke")
    assert "Keys can be read-only." in section(document, "prevent")
    assert section(document, "links") == "https://acme.invalid/keys"


def test_what_is_not_known_is_said() -> None:
    document = playbook.write(detector())

    assert "Sluice does not know where Acme records the use" in section(document, "used")
    assert "Sluice knows no harmless call" in section(document, "used")
    assert "Sluice does not know whether Acme looks for leaked secrets" in section(document, "revoke")


def test_the_live_check_becomes_a_command_without_the_secret() -> None:
    live = LiveCheck(
        url="https://api.acme.invalid/me", headers={"Authorization": "Bearer {secret}", "X-App": "{app id}"}, query={"a": "$1"}
    )

    said = section(playbook.write(detector(live=live)), "used")

    assert "read -rsp 'Secret: ' ACME_API_KEY" in said
    assert '-H "Authorization: Bearer ${ACME_API_KEY}"' in said
    assert '-H "X-App: ${APP_ID}"' in said
    assert '"https://api.acme.invalid/me?a=\\$1"' in said
    assert "An answer of 200 means that it works. 401 means that it was refused." in said


def test_a_live_check_of_another_kind_becomes_a_command_too() -> None:
    live = LiveCheck(
        url="https://api.acme.invalid/q",
        method="POST",
        basic="{app id}:{secret}",
        json={"query": "{ viewer { id } }"},
        active=[Answer([200], {"data.viewer.id": "*"})],
    )

    said = section(playbook.write(detector(live=live)), "used")

    assert '-u "${APP_ID}:${ACME_API_KEY}"' in said
    assert '--json "{\\"query\\": \\"{ viewer { id } }\\"}"' in said
    assert "-o /dev/null" not in said
    assert "An answer of 200 with a value for `data.viewer.id` means that it works. 401 means that it was refused." in said


def test_answers_that_are_read_by_a_program_are_left_to_it() -> None:
    said = section(playbook.write(detector(live=LiveCheck(url="https://api.acme.invalid/q", reader="acme"))), "used")

    assert "An answer of" not in said
    assert "`sluice check --detector acme-api-key`" in said


def test_what_curl_cannot_ask_is_no_command() -> None:
    live = LiveCheck(url="/v1/self", endpoint="acme", headers={"X": "{secret}"})

    said = section(playbook.write(detector(live=live)), "used")
    assert "curl" not in said
    assert "sluice check --detector" in said


def test_risks_are_weighed_by_what_the_secret_opens() -> None:
    money = section(playbook.write(detector(risk="Charges and refunds cards.", category="other")), "risk")
    data = section(playbook.write(detector(risk="Reads every customer.", category="crm")), "risk")

    assert money.index("Calls are billed") < money.index("What the account stores")
    assert data.index("exported at once") < data.index("fined")


@pytest.mark.parametrize(
    ("identity", "changes", "wanted"),
    [
        ("acme-publishable-key", {"severity": Severity.info}, Kind.public),
        ("acme-private-key", {"category": "private_key"}, Kind.private_key),
        ("acme-private-key", {"category": "crypto_blockchain"}, Kind.wallet),
        ("acme-private-key", {}, Kind.key),
        ("acme-webhook-signing-secret", {}, Kind.signing),
        ("acme-incoming-webhook", {}, Kind.webhook),
        ("acme-oauth-client-secret", {}, Kind.client_secret),
        ("acme-refresh-token", {}, Kind.session),
        ("acme-access-token", {}, Kind.token),
        ("acme-connection-uri", {}, Kind.connection),
        ("acme-smtp-password", {}, Kind.password),
        ("1password-connect-token", {}, Kind.token),
        ("bcrypt-password-hash", {"category": "password_hash"}, Kind.hash),
        ("acme-api-key", {}, Kind.key),
    ],
)
def test_the_kind_of_a_secret_is_told_by_its_id(identity: str, changes: dict[str, Any], wanted: Kind) -> None:
    assert kind(detector(id=identity, **changes)) is wanted


def test_one_button_that_does_both_is_said_to_end_the_old_one() -> None:
    swapped = playbook.write(detector(revoke=Revocation(console="Settings > Keys > Regenerate")))
    deleted = playbook.write(detector(revoke=Revocation(console="Settings > Keys > Delete")))

    assert "ends the old one at once" in section(swapped, "revoke")
    assert "Deactivate the old one: Settings > Keys > Delete" in plain(section(deleted, "revoke"))
    assert "Make a new one: Settings > Keys." in plain(section(deleted, "revoke"))


def test_a_published_alert_is_read() -> None:
    alert = playbook.alert_of(
        {
            "schema": "sluice.alert/1",
            "location": {"type": "log", "host": "node-1", "unknown": 1},
            "secret": {"redacted": "acme_****", "fingerprint": "f" * 8},
            "validity": "inactive",
            "confidence": "high",
            "encoding": None,
            "remediation": {},
        }
    )

    assert (alert.location.host, alert.redacted, alert.validity) == ("node-1", "acme_****", Validity.inactive)


def test_an_alert_without_a_place_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="location"):
        playbook.alert_of({"schema": "sluice.alert/1"})


def test_the_steps_come_first_and_are_those_of_the_alert(documents: Mapping[str, Document]) -> None:
    for name in random.Random(1).sample(sorted(documents), 50):
        block = documents[name].sections[0].blocks[0]
        assert isinstance(block, Steps)
        assert 3 <= len(block.items) <= 7
