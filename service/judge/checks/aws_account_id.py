from service.records import CheckResult

NAME = "aws-account-id"


def check(secret, before, after):
    return CheckResult("neutral", "x")
