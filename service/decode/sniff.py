from service.records import *


def decode(record, envelope=None):
    yield Event(Origin(envelope="text"), [Text(record.value or b"", "value")])
