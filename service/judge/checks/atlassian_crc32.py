from service.records import CheckResult

NAME = "atlassian-crc32"


def check(secret, before, after):
    return CheckResult("neutral", "x")
