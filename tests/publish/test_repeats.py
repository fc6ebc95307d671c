"""The owner's book of secrets: what is alerted, when, and what is counted."""

import copy
from typing import Any

import msgspec
import pytest

from service.publish import repeats
from service.publish.fingerprint import Fingerprinter
from service.publish.repeats import Answer, Outcome, Repeats, Rule, Sighting
from service.publish.verdicts import Kind, Verdict
from service.records import Ruling, Severity, Validity

FINGERPRINT = "ab" * 32
NOW = 1_800_000_000.0
MAKER = Fingerprinter(b"a key for tests, and only for them")


def sighting(
    first: int = 0,
    records: int = 1,
    each: int = 1,
    *,
    partition: int = 0,
    confidence: str = "medium",
    path: str = "a.py",
    fingerprint: str = FINGERPRINT,
    newest: int = 1000,
) -> Sighting:
    place = {"topic": "events", "partition": partition, "offset": first, "path": path, "field": "content"}
    body: dict[str, Any] = {
        "alert_id": f"{fingerprint[:4]}-{partition}-{first}",
        "first_alert_id": "",
        "update": 0,
        "time": "",
        "severity": "high",
        "confidence": confidence,
        "validity": "unchecked",
        "secret": {"fingerprint": fingerprint},
        "location": place,
        "occurrences": records * each,
        "first_seen": f"seen {first}",
        "last_seen": f"seen {first + records - 1}",
    }
    return Sighting(fingerprint, body, "events", partition, [(first, records, each)], newest)


class Book:
    """A partition's repeats, with verdicts to be set and its state to be lost and read again."""

    def __init__(self, window: float = 1000.0, interval: float = 100.0, most: int = 10) -> None:
        self.verdict: Verdict | None = None
        self.rule: Rule | None = None
        self.outcomes: list[Outcome] = []
        self.kept: dict[str, bytes] = {}
        self._arguments = (window, interval, most)
        self.repeats = self._new()

    def _new(self) -> Repeats:
        return Repeats(*self._arguments, lambda fingerprint, now: self.verdict, MAKER.alert, self.rule)

    def note(self, outcomes: list[Outcome]) -> list[dict[str, Any]]:
        self.outcomes = outcomes
        for outcome in outcomes:
            if outcome.state is None:
                self.kept.pop(outcome.fingerprint, None)
            else:
                self.kept[outcome.fingerprint] = outcome.state
        return [outcome.alert.body for outcome in outcomes if outcome.alert is not None]

    def see(self, one: Sighting, now: float = NOW) -> list[dict[str, Any]]:
        return self.note(self.repeats.see(copy.deepcopy(one), now))

    def answer(self, validity: Validity, now: float) -> list[dict[str, Any]]:
        return self.note(self.repeats.answer(Answer(FINGERPRINT, validity, now, "the provider says so", {"account": "7"}), now))

    def due(self, now: float) -> list[dict[str, Any]]:
        return self.note(self.repeats.due(now))

    def restart(self) -> None:
        self.repeats = self._new()
        for fingerprint, state in self.kept.items():
            self.repeats.restore(fingerprint, state)
        self.repeats.restored()


def test_the_first_sighting_alerts_at_once_and_repeats_wait_for_the_interval() -> None:
    book = Book()
    (first,) = book.see(sighting(0))
    assert (first["update"], first["occurrences"], first["alert_id"]) == (0, 1, first["first_alert_id"])
    for offset in range(1, 50):
        assert book.see(sighting(offset), NOW + offset) == []
    assert book.due(NOW + 99) == []
    (update,) = book.due(NOW + 100)
    assert (update["update"], update["occurrences"]) == (1, 50)
    assert (update["first_seen"], update["last_seen"]) == ("seen 0", "seen 49")
    assert update["first_alert_id"] == first["alert_id"] != update["alert_id"]
    assert book.due(NOW + 1000) == []


def test_a_storm_gives_one_alert_and_an_update_an_interval() -> None:
    book = Book()
    sent = []
    for second in range(1000):
        sent += book.see(sighting(1000 * second, 1000), NOW + second)
        sent += book.due(NOW + second)
    sent += book.due(NOW + 1100)
    assert len(sent) == 11
    assert sent[-1]["occurrences"] == 1_000_000
    assert len(book.repeats) == 1


def test_what_comes_again_is_not_counted_again_however_it_is_cut() -> None:
    book = Book(interval=0)
    book.see(sighting(0, 100))
    assert book.see(sighting(0, 100)) == []
    assert book.see(sighting(50, 50)) == []
    (update,) = book.see(sighting(50, 100, 2))
    assert update["occurrences"] == 100 + 50 * 2
    (update,) = book.see(sighting(0, 10, partition=1))
    assert update["occurrences"] == 210


def test_a_topic_that_was_made_anew_is_counted_anew() -> None:
    book = Book(interval=0)
    book.see(sighting(0, 100, newest=5000))
    (update,) = book.see(sighting(0, 10, newest=6000))
    assert update["occurrences"] == 110


def test_all_is_known_after_a_restart() -> None:
    book = Book()
    (first,) = book.see(sighting(0, 10))
    book.see(sighting(10, 5), NOW + 1)
    book.restart()
    assert book.see(sighting(5, 10), NOW + 2) == [], "counted before"
    (update,) = book.due(NOW + 100)
    assert update["occurrences"] == 15
    assert update["first_alert_id"] == first["alert_id"]


def test_an_alert_that_was_sent_before_a_crash_has_the_same_id_when_it_is_sent_again() -> None:
    book = Book()
    (first,) = book.see(sighting(3))
    book.kept.clear()  # the state did not get through
    book.restart()
    (again,) = book.see(sighting(3))
    assert again["alert_id"] == first["alert_id"]
    book.see(sighting(4))
    kept = dict(book.kept)
    (update,) = book.due(NOW + 100)
    book.kept = dict(kept)
    book.restart()
    (again,) = book.due(NOW + 107)
    assert again["alert_id"] == update["alert_id"]
    book.kept = dict(kept)
    book.restart()
    book.see(sighting(5), NOW + 50)
    (more,) = book.due(NOW + 107)
    assert more["alert_id"] != update["alert_id"], "it tells more"


def test_better_evidence_goes_out_at_once() -> None:
    book = Book()
    book.see(sighting(0, confidence="low"))
    (update,) = book.see(sighting(1, confidence="high", path="b.py"))
    assert (update["confidence"], update["update"], update["location"]["path"]) == ("high", 1, "b.py")
    assert update["first_seen"] == "seen 0"
    assert book.see(sighting(2, confidence="medium")) == []


def test_up_to_three_different_places_are_named() -> None:
    book = Book(interval=0)
    for offset, path in enumerate(("a", "a", "b", "c", "d")):
        (told,) = book.see(sighting(offset, path=path))
    assert [place["path"] for place in told["places"]] == ["a", "b", "c"]


def test_a_secret_not_seen_within_the_window_counts_as_new() -> None:
    book = Book(window=1000)
    (first,) = book.see(sighting(0, 7))
    (again,) = book.see(sighting(7), NOW + 1001)
    assert (again["update"], again["occurrences"]) == (0, 1)
    assert again["alert_id"] != first["alert_id"]
    assert book.see(sighting(0, 7), NOW + 1002) == [], "a replay even so"


def test_no_more_are_kept_than_there_is_room_for_and_the_forgotten_leave_no_state() -> None:
    book = Book(most=3)
    for number in range(10):
        book.see(sighting(number, fingerprint=f"{number:064x}"), NOW + number)
    assert len(book.repeats) == 3
    assert sorted(book.kept) == [f"{number:064x}" for number in (7, 8, 9)]
    book.restart()
    book.see(sighting(11, fingerprint=f"{7:064x}"), NOW + 20)
    book.see(sighting(12, fingerprint=f"{11:064x}"), NOW + 21)
    assert sorted(book.kept) == [f"{number:064x}" for number in (7, 9, 11)], "what was seen last stays, after a restart too"


def test_what_was_not_seen_within_the_window_is_forgotten() -> None:
    book = Book(window=1000)
    book.see(sighting(0))
    book.see(sighting(1, fingerprint="cd" * 32), NOW + 1001)
    assert list(book.kept) == ["cd" * 32]


def test_the_providers_word_goes_out_at_once_and_stays() -> None:
    book = Book(interval=0)
    book.see(sighting(0))
    (update,) = book.answer(Validity.active, NOW + 1)
    assert (update["validity"], update["facts"], update["update"]) == ("active", {"account": "7"}, 1)
    assert "the provider says so" in update["reasons"]
    assert book.answer(Validity.active, NOW + 2) == []
    (update,) = book.see(sighting(1), NOW + 3)
    assert update["validity"] == "active"
    assert len(book.answer(Validity.inactive, NOW + 4)) == 1
    assert book.answer(Validity.active, NOW + 3) == [], "an older answer that comes late"


def test_not_knowing_takes_no_answer_back() -> None:
    book = Book(interval=0)
    book.see(sighting(0))
    assert len(book.answer(Validity.unknown, NOW + 1)) == 1
    assert len(book.answer(Validity.active, NOW + 2)) == 1
    assert book.answer(Validity.unknown, NOW + 3) == []
    (update,) = book.see(sighting(1), NOW + 4)
    assert update["validity"] == "active"


def test_an_answer_about_an_unknown_secret_is_nothing() -> None:
    assert Book().answer(Validity.active, NOW) == []


def test_a_silenced_secret_is_counted_and_alerts_once_the_verdict_is_taken_back() -> None:
    book = Book()
    book.verdict = Verdict(Kind.false_positive, "ann", NOW, "")
    (outcome,) = book.repeats.see(sighting(0, 5), NOW)
    assert (outcome.alert, outcome.silenced, outcome.occurrences) == (
        None,
        ("verdict_false_positive", "ann: no reason given"),
        5,
    )
    assert outcome.state is not None
    assert repeats.last_silenced(outcome.state) == repeats.iso(NOW)
    assert outcome.body is not None
    assert outcome.body["secret"]["fingerprint"] == FINGERPRINT
    assert book.due(NOW + 500) == []
    book.verdict = None
    (alert,) = book.see(sighting(5), NOW + 1)
    assert (alert["update"], alert["occurrences"]) == (0, 6)


def test_a_revoked_secret_that_works_still_alerts_again() -> None:
    book = Book()
    book.see(sighting(0))
    book.answer(Validity.active, NOW + 1)
    book.verdict = Verdict(Kind.revoked, "ann", NOW + 2, "")
    assert book.see(sighting(1), NOW + 300) == []
    (alert,) = book.answer(Validity.active, NOW + 301)
    assert (alert["validity"], alert["verdict"]["verdict"]) == ("active", "revoked")


def test_a_confirmed_secret_says_by_whom() -> None:
    book = Book()
    book.verdict = Verdict(Kind.true_positive, "ann", NOW, "ours")
    assert book.see(sighting(0))[0]["verdict"]["by"] == "ann"


def test_a_clock_that_goes_back_stops_no_updates() -> None:
    book = Book()
    book.see(sighting(0))
    assert len(book.see(sighting(1), NOW - 10_000)) == 1


def test_neighbouring_sightings_of_a_secret_are_joined_and_nothing_is_lost() -> None:
    seen = [sighting(offset, confidence="low" if offset < 50 else "high", path=f"{offset % 2}") for offset in range(100)]
    seen += [sighting(99), sighting(200, partition=1), sighting(7, fingerprint="cd" * 32)]
    joined = repeats.join([*copy.deepcopy(seen), Answer(FINGERPRINT, Validity.active, NOW)])
    assert [type(one).__name__ for one in joined] == ["Sighting", "Sighting", "Sighting", "Answer"]
    first = joined[0]
    assert isinstance(first, Sighting)
    assert first.counts == [(0, 100, 1), (99, 1, 1)]
    assert first.alert["confidence"] == "high"
    assert (first.alert["first_seen"], first.alert["last_seen"]) == ("seen 0", "seen 99")
    book = Book()
    for one in joined:
        if isinstance(one, Sighting):
            book.see(one)
    known = msgspec.json.decode(book.kept[FINGERPRINT], type=repeats.Known)
    assert (known.occurrences, known.counted) == (102, {"events": {0: (99, 1000), 1: (200, 1000)}})


def test_evidence_of_several_detectors_in_one_slice_is_counted_once_each() -> None:
    generic, precise = sighting(0, confidence="low"), sighting(3, confidence="high")
    generic.again(5, 1, 1000, generic.alert["location"], "seen 5")
    book = Book(interval=0)
    (joined,) = repeats.join([generic, precise])
    assert isinstance(joined, Sighting)
    (alert,) = book.see(joined)
    assert (alert["occurrences"], alert["confidence"]) == (3, "high")
    assert book.see(sighting(4)) == [], "before what was counted"


def test_records_come_back_as_they_were_written() -> None:
    for record in (sighting(3, 4, 5), Answer(FINGERPRINT, Validity.inactive, NOW, "refused", {})):
        assert repeats.decode(repeats.encode(record)) == record


@pytest.mark.parametrize("value", [b"", b"{}", b'{"kind": "other"}', b"[" * 10_000, b'{"kind":"sighting","fingerprint":1}'])
def test_what_is_no_sighting_is_refused(value: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        repeats.decode(value)


def ruled(**rulings: Ruling) -> Book:
    """A book whose rules go by the provider's word alone."""
    book = Book()
    book.rule = lambda body, severity, validity: rulings.get(validity.value, Ruling(severity))
    book.restart()
    return book


def test_rules_see_the_providers_word_when_it_comes() -> None:
    book = ruled(active=Ruling(Severity.critical, ("live",), "pages"))
    (first,) = book.see(sighting(0))
    (update,) = book.answer(Validity.active, NOW + 5)
    assert (first["severity"], first["tags"]) == ("high", [])
    assert (update["severity"], update["tags"], update["validity"]) == ("critical", ["live"], "active")
    assert [outcome.route for outcome in book.outcomes] == ["pages"]


def test_rules_go_by_the_severity_before_any_rule_also_after_a_restart() -> None:
    seen: list[Severity] = []

    def rule(body: object, severity: Severity, validity: Validity) -> Ruling:
        seen.append(severity)
        return Ruling(severity)

    book = Book()
    book.rule = rule
    book.restart()
    book.see(msgspec.structs.replace(sighting(0), judged=Severity.low))
    book.restart()
    (update,) = book.answer(Validity.active, NOW + 5)
    assert seen == [Severity.low, Severity.low]
    assert update["severity"] == "low"


def test_what_a_rule_drops_is_told_once_more_with_the_word_that_made_it_so_and_then_never() -> None:
    book = ruled(inactive=Ruling(Severity.high, dropped="dead ones"))
    book.see(sighting(0))
    (update,) = book.answer(Validity.inactive, NOW + 5)
    assert update["validity"] == "inactive"
    assert book.see(sighting(1), NOW + 500) == []
    (kept_back,) = book.outcomes
    assert kept_back.silenced == ("dropped_by_rule", "dead ones")
    assert kept_back.occurrences == 1
    assert kept_back.body is not None
    assert kept_back.body["validity"] == "inactive"
    assert book.due(NOW + 1000) == []
    assert book.answer(Validity.active, NOW + 1100) != []


def test_what_a_rule_drops_before_the_first_alert_is_told_when_the_rule_covers_it_no_more() -> None:
    book = ruled(unchecked=Ruling(Severity.high, dropped="all of them"))
    assert book.see(sighting(0)) == []
    assert book.answer(Validity.unknown, NOW + 5) != []


def test_an_update_waits_no_longer_where_the_clock_is_set_back() -> None:
    book, day = Book(interval=100.0), 86_400
    book.see(sighting(0), NOW + day)
    assert book.see(sighting(1), NOW + day + 10) == []
    assert book.due(NOW + day + 11) == []
    assert book.due(NOW) == []
    (update,) = book.due(NOW + 100)
    assert update["occurrences"] == 2
