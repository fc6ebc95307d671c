"""The next steps of an alert: for each kind of secret, its place, its provider and whether it is live."""

from typing import Any

import pytest

from service.publish import remediation
from service.records import Detector, Knowledge, Location, Revocation, Severity, Validity


def detector(console: str = "", **changes: Any) -> Detector:
    given: dict[str, Any] = {
        "id": "acme-api-key",
        "name": "Acme API key (v2)",
        "provider": "Acme",
        "category": "payment",
        "severity": Severity.high,
        "expression": "x{20}",
        "revoke": Revocation(console=console) if console else None,
    }
    return Detector(**{**given, **changes})


def test_a_secret_that_is_deleted_is_made_anew_first() -> None:
    assert remediation.steps(detector("Settings > Keys > Delete"))[:3] == [
        "Make a new Acme API key (Settings > Keys), and put it into your secrets manager.",
        "Give it to every service that used the old one.",
        "Revoke the old one: Settings > Keys > Delete.",
    ]


@pytest.mark.parametrize("button", ["Regenerate", "reset", "Roll", "Rotate secret"])
def test_a_button_that_replaces_is_said_to_end_the_old_one(button: str) -> None:
    steps = remediation.steps(detector(f"Settings > Keys > {button}"))

    assert steps[0] == "List the services that use it: as a rule, a new one ends the old one at once."
    assert f"Settings > Keys > {button}" in steps[1]


@pytest.mark.parametrize(
    ("parallel", "told"),
    [
        (True, "List the services that use it. Look whether"),
        (False, "List the services that use it: a new"),
        (None, "List the"),
    ],
)
def test_what_is_known_of_the_rotation_decides(parallel: bool | None, told: str) -> None:
    steps = remediation.steps(detector("Settings > Keys > Regenerate"), knowledge=Knowledge(parallel=parallel))

    assert steps[0].startswith(told)


def test_a_console_that_is_a_sentence_comes_first() -> None:
    found = detector("no revocation of its own: deactivate the key that signed it")

    assert remediation.summary(found).endswith("No revocation of its own: deactivate the key that signed it.")
    assert remediation.steps(found)[0] == "No revocation of its own: deactivate the key that signed it."


def test_a_new_one_is_made_on_the_page_above_the_old_one() -> None:
    assert remediation.managed(detector("Settings > Keys > the key > Delete"), Knowledge()) == "Settings > Keys"
    assert remediation.managed(detector("Settings > the app > Keys"), Knowledge()) == "Settings > the app > Keys"


def test_without_a_console_the_provider_is_named() -> None:
    assert "Revoke the old one at Acme." in remediation.steps(detector())


def test_the_providers_log_is_named_where_it_is_known() -> None:
    steps = remediation.steps(detector(), knowledge=Knowledge(audit="Dashboard > Logs shows each call."))

    assert "Look for its use by others. Dashboard > Logs shows each call." in steps


def test_a_live_secret_is_urgent_and_a_refused_one_is_looked_at_again() -> None:
    live = remediation.steps(detector(), validity=Validity.active)
    refused = remediation.steps(detector(), validity=Validity.inactive)

    assert live[0].startswith("It is live: act now.")
    assert refused[0].startswith("It was refused when it was tried.")
    assert len(refused) < len(live)


@pytest.mark.parametrize(
    ("location", "told"),
    [
        (Location(type="code", path="a/b.py", line=3, repository="acme/shop"), "a/b.py line 3 of acme/shop"),
        (Location(type="code", path="a/b.py"), "a/b.py"),
        (Location(type="log", host="node-1"), "the log of node-1"),
        (Location(type="log", source="auth", host="node-1"), "the log of auth"),
        (Location(), "the code and the logs"),
    ],
)
def test_the_place_is_named(location: Location, told: str) -> None:
    assert remediation.steps(detector(), location)[-1] == f"Take it out of {told}, and out of the history: copies stay there."


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"severity": Severity.info}, "No hurry"),
        ({"id": "acme-private-key", "category": "crypto_blockchain"}, "new wallet"),
        ({"id": "bcrypt-password-hash", "category": "password_hash", "standard": True}, "Change the password behind"),
        ({"id": "ansible-vault-payload", "category": "generic"}, "Change the secrets inside"),
        ({"id": "openssh-private-key", "category": "private_key"}, "Replace this"),
        ({"id": "acme-smtp-password"}, "Change this"),
        ({"revoke": Revocation(console="the service is closed")}, "has ended"),
        ({}, "Revoke this Acme API key, put"),
    ],
)
def test_each_kind_has_its_own_summary_in_one_line(changes: dict[str, Any], told: str) -> None:
    said = remediation.summary(detector(**changes))

    assert told in said
    assert "\n" not in said


def test_the_link_leads_to_the_page_under_the_address_of_the_settings() -> None:
    found = remediation.advise(detector(), Location(), playbook_url="https://sluice.invalid/")

    assert found["playbook"] == "https://sluice.invalid/playbooks/acme-api-key"
    assert list(found) == ["summary", "steps", "playbook"]
