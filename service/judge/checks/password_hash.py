from service.records import CheckResult

NAME = "password-hash"


def check(secret, before, after):
    return CheckResult("neutral", "x")
