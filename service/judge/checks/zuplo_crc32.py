from service.records import CheckResult

NAME = "zuplo-crc32"


def check(secret, before, after):
    return CheckResult("neutral", "x")
