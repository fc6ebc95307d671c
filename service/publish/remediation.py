"""What to do about a leaked secret: one line, numbered steps, the link to the playbook.

The words of an alert; the playbook (``service/web/playbook.py``) says the same at length.
"""

from __future__ import annotations

import enum
import re
from typing import Any, Final

from service.records import Detector, Knowledge, Location, Severity, Validity

PLAYBOOKS: Final = "/playbooks/"
"""Where the pages are served; an id behind it names one."""


class Kind(enum.StrEnum):
    """What sort of a secret it is: it decides how it is made and replaced."""

    public = "public"
    private_key = "private-key"
    wallet = "wallet"
    hash = "hash"
    encrypted = "encrypted"
    webhook = "webhook"
    signing = "signing"
    connection = "connection"
    client_secret = "client-secret"  # noqa: S105 - the name of a kind
    password = "password"  # noqa: S105 - the name of a kind
    session = "session"
    token = "token"  # noqa: S105 - the name of a kind
    key = "key"


_KINDS: Final = tuple(
    (kind, re.compile(expression))
    for kind, expression in (
        (Kind.hash, r"-hash$"),
        (Kind.wallet, r"^(?!coinbase|robinhood|nostr).*(?:private-key|mnemonic|seed$|signing-key|bip38)"),
        (Kind.encrypted, r"ansible-vault-payload|encrypted"),
        (Kind.session, r"(?:intent|realtime)-client-secret|session-|(?:^|-)cookie$|refresh-token|json-web-token|temporary"
                       r"|-id-token"),
        (Kind.signing, r"webhook-(?:signing-|signature-)?(?:secret|key)$|signing|signature-key|adyen-hmac|secret-key-base"
                       r"|django-secret|machine-key|laravel-app-key"),
        (Kind.webhook, r"webhook"),
        (Kind.connection, r"connection-(?:uri|url)|proxy-uri|jdbc|connection-string-password"),
        (Kind.client_secret, r"(?:client|consumer|app|application|oauth)-(?:[a-z0-9]+-)?secret"),
        (Kind.password, r"(?:^|-)password|basic-auth|git-(?:url-)?credentials"),
        (Kind.token, r"token|-pat(?:-|$)|-jwt"),
    )
)  # fmt: skip


_SWAP: Final = re.compile(
    r"(?:regenerate|reset|roll|rotate|renew|refresh|replace|reissue|change|generate|recreate)\b", re.IGNORECASE
)
_END: Final = re.compile(r"\b(?:delete|revoke|disable)\b", re.IGNORECASE)
_BUTTON: Final = re.compile(
    _SWAP.pattern
    + r"|(?:revoke|delete|remove|deactivate|disable|expire|disconnect|invalidate|edit|log out|sign out|uninstall|new)\b",
    re.IGNORECASE,
)
_ITEM: Final = re.compile(r"the (?:\w+ )?(?:key|token|secret|credential|password|webhook)s?", re.IGNORECASE)
"""What is opened to be revoked: a new one is made a page above."""
_RETIRED: Final = re.compile(r"\bclosed$|^retired\b|nothing (?:is )?left|^the service has", re.IGNORECASE)


def kind(detector: Detector) -> Kind:
    """The sort of the detector's secrets, by what its category and id say."""
    if detector.severity is Severity.info:
        return Kind.public
    if detector.category == "private_key" and "encrypted" not in detector.id:
        return Kind.private_key
    for found, expression in _KINDS:
        if expression.search(detector.id) and (found is not Kind.wallet or detector.category == "crypto_blockchain"):
            return found
    return Kind.token if "token" in detector.name.lower() else Kind.key


def named(detector: Detector) -> bool:
    """True if a company issued it that can be asked: not so for a password, a wallet, or a key or database of one's own."""
    if detector.is_generic or detector.category == "private_key":
        return False
    return kind(detector) not in (Kind.wallet, Kind.connection)


def term(detector: Detector) -> str:
    """What sentences call the secret: its name without a remark in brackets."""
    name = re.sub(r"\s*\([^)]*\)", "", detector.name).removesuffix(" with a password") or detector.name
    return name[0].lower() + name[1:] if re.match(r"(?:Password|Secret|Key|Token|Credentials?|Encrypted)\b", name) else name


def console(detector: Detector, knowledge: Knowledge) -> tuple[str, bool]:
    """Where the secret is revoked, and whether that is a path of clicks rather than a sentence."""
    where = ((detector.revoke.console if detector.revoke else "") or knowledge.revoke).rstrip(".")
    return (where, True) if " > " in where else (where[:1].upper() + where[1:], False)


def managed(detector: Detector, knowledge: Knowledge) -> str:
    """The path of clicks to the page on which the secret is shown, without the last button; empty if none is known."""
    where, path = console(detector, knowledge)
    if not path:
        return ""
    *steps, last = where.split(";")[0].split(" > ")
    if _BUTTON.match(last) and len(steps) > 1:
        *steps, last = steps
    return " > ".join(steps if steps and _ITEM.fullmatch(last) else [*steps, last.split(": ")[0]])


def swaps(detector: Detector, knowledge: Knowledge) -> bool:
    """True if one button makes the new one and ends the old one, at once or after a while."""
    where, path = console(detector, knowledge)
    last = where.rsplit(" > ", 1)[-1]
    button = path and bool(_SWAP.match(last)) and not _END.search(last)
    return button or knowledge.parallel is False


def retired(detector: Detector) -> bool:
    """True if the service has ended and nothing can be revoked."""
    return bool(detector.revoke and _RETIRED.search(detector.revoke.console))


def call(detector: Detector, knowledge: Knowledge) -> str:
    """The call or command that revokes it; empty if none is known."""
    return (detector.revoke.api if detector.revoke else "") or knowledge.api


def place(location: Location) -> str:
    """Where it leaked, in a few words; empty if nobody told."""
    if location.path:
        line = f" line {location.line}" if location.line else ""
        return location.path + line + (f" of {location.repository}" if location.repository else "")
    if location.type == "log":
        source = location.source or location.host
        return f"the log of {source}" if source else "the log"
    return ""


def summary(detector: Detector, knowledge: Knowledge | None = None) -> str:
    """One line: what to do now."""
    knowledge, what, found = knowledge or Knowledge(), term(detector), kind(detector)
    if found is Kind.public:
        return f"No hurry: this {what} is meant to be seen. Check that its secret half is not beside it, and limit its use."
    if retired(detector):
        return f"The service of this {what} has ended: check that the same value opens nothing else, and clean up."
    if found is Kind.wallet:
        return f"Move everything that this {what} controls to a new wallet now: nobody can revoke it."
    if found is Kind.hash:
        return f"Change the password behind this {what}, and look for logins of others."
    if found is Kind.encrypted:
        return f"Change the secrets inside this {what}, and keep its passphrase elsewhere."
    where, path = console(detector, knowledge)
    if found is Kind.connection:
        shown = f" ({where})" if where else ""
        return f"Change the password in this {what}{shown}, put it into a secrets manager, and look for its use by others."
    if where and not path and found not in (Kind.private_key, Kind.password):
        return f"Act on this {what} now, and look for its use by others. {where}."
    verb = "Change" if found is Kind.password else "Replace" if found is Kind.private_key else "Revoke"
    shown = f" ({where})" if where and found is not Kind.private_key else ""
    return f"{verb} this {what}{shown}, put a new one into a secrets manager, and look for its use by others."


def steps(
    detector: Detector,
    location: Location | None = None,
    validity: Validity = Validity.unchecked,
    knowledge: Knowledge | None = None,
) -> list[str]:
    """What to do, in order, each a sentence or two; no part of it holds the secret."""
    knowledge, what, found = knowledge or Knowledge(), term(detector), kind(detector)
    where = place(location) if location is not None else ""
    owner = detector.provider if named(detector) else "the system that it opens"
    clean = f"Take it out of {where or 'the code and the logs'}, and out of the history: copies stay there."
    look = (
        f"Look for its use by others. {knowledge.audit}"
        if knowledge.audit
        else f"Look for its use by others in the logs of {owner}: unknown addresses, unusual hours, new clients."
    )
    if found is Kind.public:
        return [
            "Check that no secret half (a client secret or a secret key) stands beside it.",
            f"Limit its use to your own sites and apps, where {owner} offers that.",
            look,
        ]
    if retired(detector):
        return ["The service has ended, so nothing can be revoked.", "Check that the same value opens nothing else.", clean]
    if found is Kind.wallet:
        look = "Look at its addresses on a block explorer for transfers that you did not make."
        return ["Make a new wallet on a clean machine.", "Move all funds and contract rights to it.", look, clean]
    if found is Kind.hash:
        return [
            "Change the password behind it, and others of the same list.",
            "End the open sessions of the account.",
            look,
            clean,
        ]
    if found is Kind.encrypted:
        return [
            "Treat the passphrase as guessed: change every secret inside.",
            "Encrypt anew, with a strong passphrase.",
            clean,
        ]
    order = _replacing(detector, knowledge, found, what, owner)
    if validity is Validity.active:
        order.insert(0, "It is live: act now. If it was public, revoke it before anything else.")
    elif validity is Validity.inactive:
        order = ["It was refused when it was tried. Make sure that it is revoked for good, and not only blocked for a time."]
    return [*order, look, clean]


def _replacing(detector: Detector, knowledge: Knowledge, found: Kind, what: str, owner: str) -> list[str]:
    where, path = console(detector, knowledge)
    if found is Kind.private_key:
        return [
            "Make a new key pair, and put the private half into your secrets manager.",
            "Put the new public half into every place that trusts the old one.",
            "Take the old public half out of all these places, and have its certificates revoked.",
        ]
    if found in (Kind.password, Kind.connection):
        at = f" ({where})" if where else f" at {owner}" if named(detector) else " in the system that it opens"
        return [
            f"Change the password{at}.",
            "Put the new one into your secrets manager, and give it to every service that used the old one.",
            "End all open sessions of the account, and change it wherever else it was used.",
        ]
    if where and not path:
        return [
            f"{where}.",
            "Make a new one where a service still needs it, and put it into your secrets manager.",
            "Give it to every service that used the old one.",
        ]
    if swaps(detector, knowledge):
        at = f" ({where})" if where else f" at {owner}"
        ends = {
            True: ". Look whether the old one can go on for a time, or whether there is a second one to move to.",
            False: ": a new one ends the old one at once.",
            None: ": as a rule, a new one ends the old one at once.",
        }
        return [
            f"List the services that use it{ends[knowledge.parallel]}",
            f"Replace the {what}{at}. Put the new one into your secrets manager.",
            "Give the new one to all these services, and check that the old one is refused.",
        ]
    page = managed(detector, knowledge)
    return [
        f"Make a new {what}{f' ({page})' if page else ''}, and put it into your secrets manager.",
        "Give it to every service that used the old one.",
        f"Revoke the old one{f': {where}' if where else f' at {owner}'}.",
    ]


def advise(
    detector: Detector,
    location: Location,
    validity: Validity = Validity.unchecked,
    playbook_url: str = "",
    knowledge: Knowledge | None = None,
) -> dict[str, Any]:
    """The ``remediation`` of an alert: ``summary`` (one line), ``steps`` (a list of strings), ``playbook`` (the link)."""
    return {
        "summary": summary(detector, knowledge),
        "steps": steps(detector, location, validity, knowledge),
        "playbook": playbook_url.rstrip("/") + PLAYBOOKS + detector.id,
    }
