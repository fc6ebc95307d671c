from service.records import CheckResult

NAME = "sentry-org-token"


def check(secret, before, after):
    return CheckResult("neutral", "x")
