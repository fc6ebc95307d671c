from service.records import CheckResult

NAME = "bech32"


def check(secret, before, after):
    return CheckResult("neutral", "x")
