import os

import hvac
import requests


def example_token() -> str:
    try:
        client = hvac.Client(url=os.environ["VAULT_ADDR"], token=os.environ["VAULT_TOKEN"])
        answer = client.secrets.kv.v2.read_secret_version(
            path="example-provider", mount_point="secret", raise_on_deleted_version=True
        )
    except KeyError as error:
        raise RuntimeError(f"{error.args[0]} is not set") from None
    except (hvac.exceptions.VaultError, requests.RequestException) as error:
        raise RuntimeError("secret/example-provider cannot be read from Vault") from error
    value = answer["data"]["data"].get("example_token")
    if not value:
        raise RuntimeError("secret/example-provider holds no field example_token")
    return str(value)
