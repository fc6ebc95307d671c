from service.records import CheckResult

NAME = "grafana-cloud-json"


def check(secret, before, after):
    return CheckResult("neutral", "x")
