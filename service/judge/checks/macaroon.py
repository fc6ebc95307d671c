from service.records import CheckResult

NAME = "macaroon"


def check(secret, before, after):
    return CheckResult("neutral", "x")
