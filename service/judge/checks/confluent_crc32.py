from service.records import CheckResult

NAME = "confluent-crc32"


def check(secret, before, after):
    return CheckResult("neutral", "x")
