"""A topic that was made anew is told from the one it was."""

from service.consume.identity import Identity

ONE, OTHER = bytes(range(16)), bytes(range(1, 17))


def test_a_topic_is_anew_when_its_id_changed() -> None:
    identity = Identity()
    assert identity.note({"a": ONE, "b": ONE}) == set()
    assert identity.note({"a": ONE, "b": OTHER}) == {"b"}
    assert identity.note({"a": ONE, "b": OTHER}) == set()


def test_a_topic_that_is_missing_for_a_while_is_remembered() -> None:
    identity = Identity()
    identity.note({"a": ONE})
    assert identity.note({}) == set()
    assert identity.note({"a": OTHER}) == {"a"}


def test_brokers_that_know_no_ids_change_nothing() -> None:
    identity = Identity()
    assert identity.note({"a": bytes(16)}) == set()
    assert identity.note({"a": ONE}) == set()
    assert identity.note({"a": bytes(16)}) == set()
