import os


def example_token() -> str:
    value = os.environ.get("EXAMPLE_TOKEN", "")
    if not value:
        raise RuntimeError("EXAMPLE_TOKEN is not set")
    return value
