from service.records import CheckResult

NAME = "mapbox-token"


def check(secret, before, after):
    return CheckResult("neutral", "x")
