from service.records import CheckResult

NAME = "private-key"


def check(secret, before, after):
    return CheckResult("neutral", "x")
