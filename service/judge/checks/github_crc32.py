from service.records import CheckResult

NAME = "github-crc32"


def check(secret, before, after):
    return CheckResult("neutral", "x")
