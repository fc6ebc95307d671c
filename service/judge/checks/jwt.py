from service.records import CheckResult

NAME = "jwt"


def check(secret, before, after):
    return CheckResult("neutral", "x")
