"""From a detector, and an alert if there is one, to a playbook.

A pure function: what is known of the secret type and its provider goes in, a document comes out. Sentences that are true of a
kind or a category come from ``detectors/playbooks/texts/``; a fact about this secret always goes before one of them.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from service.publish import remediation
from service.publish.remediation import Kind
from service.records import PLACEHOLDER, Answer, Detector, Knowledge, LiveCheck, Location, Severity, Validity
from service.web import snippets, texts
from service.web.document import Block, Bullets, Code, Document, Facts, Fold, Links, Note, Paragraph, Section, Steps, is_sound
from service.web.texts import RISKS, sentence, sentences

_LEVELS: Final = ((7, "Very high"), (5, "High"), (3, "Medium"), (0, "Low"))
_PREFIX: Final = 16
"""As much of a prefix is shown: more could be taken for a secret itself."""
_OPENS: Final = {
    "unauthorized": r"full control|administrator|admin\b|acts? as|whole account|everything|runs? code|manages|signs in as",
    "data": r"reads?\b|customers|personal|exports?|copies|sees|decrypts|e-?mails?\b|files|messages|documents",
    "money": r"money|charges?|refunds?|pays?\b|payouts?|payments|cost|spends?|billed|credits|orders|trades|withdraws?",
    "reputation": r"sends|posts|publish|in the (?:owner's|company's|account's) name|mail that|spam|newsletter",
}
_SECRET: Final = re.compile(r"\{secret\}")


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What a playbook takes from a published alert; keys that it does not use may be there."""

    location: Location
    confidence: str = ""
    validity: Validity = Validity.unchecked
    occurrences: int = 1
    first_seen: str = ""
    last_seen: str = ""
    redacted: str = ""
    fingerprint: str = ""
    encoding: str = ""
    alert_id: str = ""


def write(
    detector: Detector,
    knowledge: Knowledge | None = None,
    alert: Alert | None = None,
    languages: Sequence[str] = (),
) -> Document:
    """The playbook of a secret type.

    Args:
        detector: the type.
        knowledge: what is known of its provider.
        alert: fills in its place and its history.
        languages: in which the secret is read; all if empty. The language of the alert's file comes first.
    """
    writer = _Writer(detector, knowledge or Knowledge(), alert)
    sections = [
        Section(name, sentence("title", name), blocks)
        for name, blocks in (
            ("first", writer.first()),
            ("alert", writer.alert()),
            ("what", writer.what()),
            ("revoke", writer.revoke()),
            ("used", writer.used()),
            ("stops", writer.stops()),
            ("clean", writer.clean()),
            ("leak", writer.leak()),
            ("risk", writer.risk()),
            ("made", writer.made()),
            ("prevent", writer.prevent()),
            ("read", writer.read(languages)),
            ("links", writer.links()),
        )
        if blocks
    ]
    return Document(
        id=detector.id,
        title=detector.name,
        summary=remediation.summary(detector, knowledge),
        provider=detector.provider,
        category=detector.category,
        severity=detector.severity.value,
        sections=sections,
    )


class _Writer:
    def __init__(self, detector: Detector, knowledge: Knowledge, alert: Alert | None) -> None:
        self._detector, self._knowledge, self._alert = detector, knowledge, alert
        self._kind = remediation.kind(detector)
        self._named = remediation.named(detector)
        self._about_kind = texts.kinds()[self._kind.value]
        self._category = texts.category(detector.category)
        self._names = snippets.names(detector)
        self._values = {
            "name": detector.name,
            "provider": detector.provider if self._named else "the system that it opens",
            "variable": self._names.variable,
            "path": self._names.path,
            "field": self._names.field,
        }
        self._location = alert.location if alert else None

    def _say(self, section: str, name: str, /, **values: str) -> str:
        return sentence(section, name, **self._values, **values)

    def first(self) -> list[Block]:
        validity = self._alert.validity if self._alert else Validity.unchecked
        return [Steps(remediation.steps(self._detector, self._location, validity, self._knowledge))]

    def alert(self) -> list[Block]:
        alert = self._alert
        if alert is None:
            return []
        at = alert.location
        line = f"{at.line}" + (f", column {at.column}" if at.column else "") if at.line else ""
        record = f"{at.topic}, partition {at.partition}, offset {at.offset}" if at.topic else ""
        rows = [
            ("Secret", alert.redacted),
            ("Repository", at.repository or ""),
            ("Branch", at.ref or ""),
            ("Commit", at.commit or ""),
            ("File", at.path or ""),
            ("Line", line),
            ("Author", at.author or ""),
            ("Source", at.source or ""),
            ("Host", at.host or ""),
            ("Field", at.field),
            ("Record", record),
            ("Encoding", alert.encoding),
            ("First seen", alert.first_seen),
            ("Last seen", alert.last_seen if alert.last_seen != alert.first_seen else ""),
            ("Occurrences", str(alert.occurrences)),
            ("Confidence", alert.confidence),
            ("Live", _VALIDITY[alert.validity]),
            ("Fingerprint", alert.fingerprint),
            ("Alert", alert.alert_id),
        ]
        blocks: list[Block] = [Facts([(name, value) for name, value in rows if value])]
        if at.url and is_sound(at.url):
            blocks.append(Links([("The place of the leak", at.url)]))
        return blocks

    def what(self) -> list[Block]:
        detector, blocks = self._detector, list[Block]()
        blocks.append(Paragraph(detector.use or self._about_kind.what))
        if detector.use and self._kind not in (Kind.key, Kind.public):
            blocks.append(Paragraph(self._about_kind.what))
        if self._knowledge.about:
            blocks.append(Paragraph(self._knowledge.about))
        if self._kind is Kind.public:
            blocks.append(Note(self._say("what", "public")))
        elif re.search(r"\b(?:test|sandbox|stage|staging|development)\b", f"{detector.id} {detector.name}".lower()):
            blocks.append(Paragraph(self._say("what", "test")))
        if self._kind not in (Kind.public, Kind.hash, Kind.encrypted):
            blocks += [Paragraph(self._say("what", "uses")), Bullets(list(self._category.uses))]
        if detector.companions:
            blocks.append(Paragraph(self._say("what", "companions", companions=_listed(detector.companions))))
        return blocks

    def made(self) -> list[Block]:
        detector, blocks = self._detector, list[Block]()
        blocks.append(Paragraph(self._knowledge.create or self._about_kind.made))
        page = remediation.managed(detector, self._knowledge)
        if page and not self._knowledge.create and self._named:
            blocks.append(Paragraph(self._say("made", "console", console=_code(page))))
        elif not self._knowledge.create and self._named and not (detector.documentation or self._knowledge.links):
            blocks.append(Paragraph(self._say("made", "unknown")))
        prefixes = [prefix.decode("ascii", "replace").strip() for prefix in detector.prefixes[:4]]
        prefixes = [
            f"`{_code(prefix[:_PREFIX])}`"
            for prefix in prefixes
            if len(prefix) > 1 and prefix.isprintable() and not prefix.startswith("http")
        ]
        if prefixes:
            name = "maybe_prefix" if detector.keywords or len(detector.prefixes) > len(prefixes) else "prefix"
            blocks.append(Paragraph(self._say("made", name, prefixes=_listed(prefixes, "or"))))
        elif detector.keywords and self._named:
            words = [f"`{_code(word)}`" for word in detector.keywords[:3]]
            blocks.append(Paragraph(self._say("made", "no_prefix", keywords=_listed(words, "or"))))
        if detector.checks:
            blocks.append(Paragraph(self._say("made", "checked")))
        return blocks

    def leak(self) -> list[Block]:
        places, at = texts.places(), self._location
        found = places.of(at.type, at.path or "", at.field) if at else None
        groups = list(places.groups.items())
        if found is None:
            ways = [f"{group.title}: {group.text}" for _, group in groups]
            return [Paragraph(self._say("leak", "intro")), Bullets(ways)]
        groups.sort(key=lambda item: item[0] == found.group)  # the place has told the group's story already
        return [
            Paragraph(self._say("leak", "first")),
            Note(f"{found.title}. {found.text}"),
            Paragraph(self._say("leak", "then")),
            Bullets([f"{group.title}: {group.text}" for _, group in groups]),
        ]

    def risk(self) -> list[Block]:
        detector = self._detector
        blocks: list[Block] = [Paragraph(detector.risk)] if detector.risk else []
        weights = _weights(detector, self._category)
        named = sorted(RISKS, key=lambda risk: -weights[risk])
        rows = []
        for risk in named:
            level = next(level for least, level in _LEVELS if weights[risk] >= least)
            rows.append((f"{self._say('risk', risk)}: {level.lower()}", getattr(self._category, risk)))
        blocks += [Paragraph(self._say("risk", "weighed")), Facts(rows)]
        blocks.append(Paragraph(self._say("risk", "severity", severity=detector.severity.value)))
        return blocks

    def used(self) -> list[Block]:
        blocks: list[Block] = [Paragraph(self._say("used", "intro"))]
        if self._knowledge.audit:
            blocks.append(Note(self._knowledge.audit))
        else:
            unknown = "wallet" if self._kind is Kind.wallet else "unknown" if self._named else "unnamed"
            blocks.append(Paragraph(self._say("used", unknown)))
        blocks += [
            Paragraph(self._say("used", "signs")),
            Bullets([*self._category.signs, *sentences("used", "general")]),
            Paragraph(self._say("used", "sessions")),
        ]
        if self._kind not in (Kind.public, Kind.hash):
            live, detector_id = self._detector.live, _code(self._detector.id)
            command = _command(live, self._names.variable) if live else None
            if live and command:
                blocks += [Paragraph(self._say("used", "live")), Code(command, "bash")]
                if not live.reader and live.active and live.inactive:
                    active, inactive = _signs(live.active), _signs(live.inactive)
                    blocks.append(Paragraph(self._say("used", "live_meaning", active=active, inactive=inactive)))
                blocks.append(Paragraph(self._say("used", "live_check", id=detector_id)))
                if live.note:
                    blocks.append(Paragraph(self._say("used", "live_note", note=live.note)))
            elif live:
                blocks.append(Paragraph(self._say("used", "check", id=detector_id)))
            elif self._named:
                blocks.append(Paragraph(self._say("used", "no_live")))
        blocks.append(Paragraph(self._say("used", "keep")))
        return blocks

    def revoke(self) -> list[Block]:
        detector, knowledge = self._detector, self._knowledge
        where, path = remediation.console(detector, knowledge)
        blocks = list[Block]()
        if self._kind is Kind.public:
            return [Paragraph(self._say("revoke", "public")), *self._where(where, path)]
        blocks.append(Paragraph(self._about_kind.replace))
        if detector.severity.rank >= Severity.high.rank and self._kind is not Kind.wallet:
            blocks.append(Note(self._say("revoke", "urgent")))
        if remediation.retired(detector):
            return [Paragraph(f"{where}."), Paragraph(self._say("revoke", "retired"))]
        swaps = remediation.swaps(detector, knowledge)
        if knowledge.rotation:
            blocks.append(Paragraph(knowledge.rotation))
        if self._kind in (Kind.private_key, Kind.wallet, Kind.hash, Kind.encrypted):
            if where and self._kind is not Kind.wallet and not where.startswith("Generate a new key pair"):
                blocks.append(Paragraph(f"{where}."))
            names = {Kind.private_key: "pair", Kind.wallet: "wallet"}.get(self._kind, "inside")
            return [*blocks, Steps(sentences("revoke", names))]
        is_password = self._kind in (Kind.password, Kind.connection)
        if where and not path and not is_password:
            after = [self._say("revoke", name) for name in ("needed", "store", "update", "monitor")]
            return [*blocks, Steps([f"{where}.", *after]), *self._call(), self._scanning()]
        if not is_password:
            unsure = {True: "overlap", False: "serial", None: "button"} if swaps else {True: "parallel", None: "order_unknown"}
            blocks.append(Paragraph(self._say("revoke", unsure[knowledge.parallel])))
        unknown = "unknown" if self._named else "unnamed"
        shown = f": `{_code(where)}`" if path or (where and is_password) else f". {where}" if where else ""
        page = remediation.managed(detector, knowledge)
        if is_password:
            made = self._say("revoke", "change", where=shown) if shown else self._say("revoke", f"change_{unknown}")
            ended = self._say("revoke", "refused")
        elif swaps:
            made = self._say("revoke", "replace", where=shown) if shown else self._say("revoke", f"make_{unknown}")
            ended = self._say("revoke", "refused")
        else:
            made = self._say("revoke", "make", where=f": `{_code(page)}`") if page else self._say("revoke", f"make_{unknown}")
            ended = self._say("revoke", "deactivate", where=shown) if shown else self._say("revoke", f"deactivate_{unknown}")
        if knowledge.create and not swaps:
            made = f"{self._say('revoke', 'make', where='')} {knowledge.create}"
        rest = [self._say("revoke", name) for name in ("store", "update")]
        blocks.append(Steps([made, *rest, ended, self._say("revoke", "monitor")]))
        return [*blocks, *self._call(), self._scanning()]

    def _call(self) -> list[Block]:
        call = remediation.call(self._detector, self._knowledge)
        if not call:
            return []
        return [Paragraph(self._say("revoke", "call")), Code(_SECRET.sub(f"${self._names.variable}", call), "bash")]

    def _scanning(self) -> Block:
        if self._knowledge.scanning:
            return Paragraph(self._knowledge.scanning)
        name = "partner" if self._knowledge.partner else "not_scanning" if self._named else "scanned"
        return Paragraph(self._say("revoke", name))

    def _where(self, where: str, path: bool) -> list[Block]:
        if not where:
            return []
        return [Paragraph(self._say("made", "console", console=_code(where)) if path else f"{where}.")]

    def stops(self) -> list[Block]:
        variable = self._names.variable
        search = (
            f"git grep -nI {variable}",
            f"git grep -nIiE '{'[-_. ]?'.join(variable.lower().strip('_').split('_'))}'",
            f"git log --oneline --all -S {variable}",
            "kubectl get secrets,configmaps --all-namespaces -o json | jq -r "
            f"""'.items[] | select(.data // {{}} | has("{variable}")) | .metadata.namespace + "/" + .metadata.name'""",
        )
        if self._kind is Kind.public:
            return [Paragraph(self._say("stops", "public")), Code("\n".join(search[:2]), "bash")]
        return [
            Paragraph(self._say("stops", "intro")),
            Code("\n".join(search), "bash"),
            Paragraph(self._say("stops", "places")),
            Paragraph(self._say("stops", "log")),
            Bullets([self._say("stops", name) for name in ("communicate", "staging", "fallback")]),
        ]

    def clean(self) -> list[Block]:
        at = self._location
        if self._kind is Kind.public:
            return [Paragraph(self._say("clean", "public"))]
        log: list[Block] = [Paragraph(self._say("clean", "logs"))]
        git: list[Block] = [
            Paragraph(self._say("clean", "git")),
            Code(
                "umask 077\nread -rs LEAKED && printf '%s==>REMOVED\\n' \"$LEAKED\" > ../leaked.txt\n"
                "git filter-repo --replace-text ../leaked.txt\nshred -u ../leaked.txt\n"
                "git push --force --all && git push --force --tags",
                "bash",
            ),
            Paragraph(self._say("clean", "git_after")),
        ]
        if at and at.type == "log":
            where = remediation.place(at)
            log = [Note(f"{self._say('clean', 'logs_first')} {where}."), *log]
            return [Paragraph(self._say("clean", "intro")), *log, *git, Paragraph(self._say("clean", "images"))]
        if at and at.path:
            git = [Code(f"git log --oneline --all -- {shlex.quote(at.path)}", "bash"), *git]
        return [Paragraph(self._say("clean", "intro")), *git, *log, Paragraph(self._say("clean", "images"))]

    def prevent(self) -> list[Block]:
        scopes = self._knowledge.scopes or self._say("prevent", "scopes_unknown" if self._named else "scopes_unnamed")
        return [Bullets([*sentences("prevent", "practices"), scopes, *self._about_kind.practices])]

    def read(self, wanted: Sequence[str]) -> list[Block]:
        if self._kind is Kind.hash:
            return []
        order = list(wanted or snippets.languages())
        first = snippets.language_of(self._location.path) if self._location and self._location.path else None
        if first in order:
            order.remove(first)
            order.insert(0, first)
        blocks: list[Block] = [Paragraph(self._say("read", "intro")), Paragraph(self._say("read", "names"))]
        for language in order:
            inner: list[Block] = []
            for store in snippets.STORES:
                found = snippets.render(language, store, self._names)
                inner.append(Paragraph(f"{self._say('read', store)}:"))
                if found.install:
                    inner.append(Code(found.install, "bash"))
                inner.append(Code(found.code, found.language.highlight))
            blocks.append(Fold(snippets.languages()[language].label, inner))
        return blocks

    def links(self) -> list[Block]:
        detector = self._detector
        revoke = detector.revoke.documentation if detector.revoke else ""
        rows = [("About this secret", detector.documentation), ("How to revoke it", revoke), *self._knowledge.links.items()]
        sound: dict[str, str] = {}
        for told, address in rows:
            if is_sound(address):
                sound.setdefault(address, told)
        return [Links([(told, address) for address, told in sound.items()])] if sound else []


_VALIDITY: Final = {
    Validity.unchecked: "not asked",
    Validity.active: "yes: the provider accepts it",
    Validity.inactive: "no: the provider refuses it",
    Validity.unknown: "not known: treat it as live",
}


def _weights(detector: Detector, category: texts.Category) -> dict[str, int]:
    """0 to 9 for each risk: what the category says, what this secret opens in its own words, and its severity."""
    said = detector.risk.lower()
    found = {}
    for risk in RISKS:
        own = 2 if re.search(_OPENS[risk], said) else 0
        weight = category.weight[risk] + own + detector.severity.rank
        cap = (1, 3, 5, 7, 9)[detector.severity.rank]
        found[risk] = max(0, min(weight, cap))
    return found


def _command(live: LiveCheck, variable: str) -> str | None:
    """The live check as a command that keeps the secret out of the history; None where curl cannot ask."""
    if not live.origin or live.part or live.sign:
        return None
    asked: dict[str, str] = {}

    def filled(text: str) -> str:
        def of(found: re.Match[str]) -> str:
            if found[1] == "secret":
                return f"${{{variable}}}"
            name = re.sub(r"[^A-Z0-9]+", "_", found[1].upper()).strip("_")
            asked[name] = found[1]
            return f"${{{name}}}"

        parts = (
            PLACEHOLDER.sub(of, part) if n % 2 else re.sub(r'(["\\$`!])', r"\\\1", part) for n, part in enumerate(_split(text))
        )
        return '"' + "".join(parts) + '"'

    url = live.url + ("?" + "&".join(f"{key}={value}" for key, value in live.query.items()) if live.query else "")
    method = {"GET": "", "HEAD": " --head"}.get(live.method, f" -X {live.method}")
    shown = "" if any(isinstance(one, Answer) for one in (*live.active, *live.inactive)) or live.reader else " -o /dev/null"
    lines = [f"curl -sS{shown} -w '%{{http_code}}\\n'{method}"]
    lines += [f"  -H {filled(f'{key}: {value}')}" for key, value in live.headers.items()]
    if live.basic:
        lines.append(f"  -u {filled(live.basic)}")
    lines += [f"  --data-urlencode {filled(f'{key}={value}')}" for key, value in live.form.items()]
    if live.json is not None:
        lines.append(f"  --json {filled(json.dumps(live.json))}")
    lines.append(f"  {filled(url)}")
    reads = [f"read -rsp 'Secret: ' {variable}", *(f"read -rp '{told}: ' {name}" for name, told in asked.items())]
    return "\n".join(reads) + "\n" + " \\\n".join(lines)


def _split(text: str) -> list[str]:
    """Pieces of the text, every second one a name in braces."""
    pieces, position = [], 0
    for found in PLACEHOLDER.finditer(text):
        pieces += [text[position : found.start()], found[0]]
        position = found.end()
    return [*pieces, text[position:]]


def _listed(words: Iterable[str], last: str = "and") -> str:
    *most, final = words
    return f"{', '.join(most)} {last} {final}" if most else final


def _signs(signs: Sequence[int | Answer]) -> str:
    """Answers in words: ``200``, or ``401 with `error` = `expired` ``."""
    return _listed([str(sign) if isinstance(sign, int) else _sign(sign) for sign in signs], "or")


def _sign(answer: Answer) -> str:
    parts = []
    for path, value in answer.json.items():
        wanted = (
            _listed([f"`{_code(str(one))}`" for one in value], "or") if isinstance(value, list) else f"`{_code(str(value))}`"
        )
        if value == "*":
            parts.append(f"a value for `{_code(path)}`")
        elif value == "-":
            parts.append(f"no value for `{_code(path)}`")
        else:
            parts.append(f"`{_code(path)}` = {wanted}")
    if answer.text:
        parts.append(f"the text `{_code(answer.text)}`")
    status = _listed([str(one) for one in answer.status], "or") if answer.status else ""
    return f"{status} with {_listed(parts)}" if status and parts else status or _listed(parts)


def _code(text: str) -> str:
    """Text that may stand between backticks."""
    return text.replace("`", "'")


def alert_of(document: Mapping[str, Any]) -> Alert:
    """What a published alert (``sluice.alert/1``) says for a playbook.

    Raises:
        msgspec.ValidationError: it has another shape.
    """
    secret = document.get("secret") or {}
    return msgspec.convert(
        {
            **{key: document[key] for key in Alert.__struct_fields__ if document.get(key) is not None},
            "location": document.get("location"),
            "redacted": secret.get("redacted", ""),
            "fingerprint": secret.get("fingerprint", ""),
        },
        Alert,
    )
