import os
from urllib.parse import quote

import requests


def example_token() -> str:
    try:
        url, account = os.environ["CONJUR_APPLIANCE_URL"], os.environ["CONJUR_ACCOUNT"]
        login, key = os.environ["CONJUR_AUTHN_LOGIN"], os.environ["CONJUR_AUTHN_API_KEY"]
    except KeyError as error:
        raise RuntimeError(f"{error.args[0]} is not set") from None
    try:
        session = requests.post(
            f"{url}/authn/{account}/{quote(login, safe='')}/authenticate",
            data=key,
            headers={"Accept-Encoding": "base64"},
            timeout=10,
        )
        session.raise_for_status()
        answer = requests.get(
            f"{url}/secrets/{account}/variable/{quote('example-provider/example_token', safe='')}",
            headers={"Authorization": f'Token token="{session.text}"'},
            timeout=10,
        )
        answer.raise_for_status()
    except requests.RequestException as error:
        raise RuntimeError("example-provider/example_token cannot be read from Conjur") from error
    return answer.text
