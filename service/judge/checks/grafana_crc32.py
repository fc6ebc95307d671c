from service.records import CheckResult

NAME = "grafana-crc32"


def check(secret, before, after):
    return CheckResult("neutral", "x")
