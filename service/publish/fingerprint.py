"""What identifies a secret without telling it: HMAC-SHA-256 under the organisation's key.

Of the secret alone, never of its place: equal secrets meet wherever they leak, and without the key nobody can try guesses.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Final, final

from service.errors import SettingsError
from service.records import Secret

LEAST_KEY_BYTES: Final = 16


@final
class Fingerprinter:
    """Makes fingerprints and alert ids.

    Raises:
        SettingsError: the key is shorter than :data:`LEAST_KEY_BYTES`.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < LEAST_KEY_BYTES:
            raise SettingsError(
                f"fingerprint.key: at least {LEAST_KEY_BYTES} bytes expected (`openssl rand -hex 32` makes a key)"
            )
        self._state = hmac.new(key, digestmod=hashlib.sha256)

    def secret(self, secret: Secret) -> str:
        """The fingerprint of a secret, 64 hexadecimal digits."""
        state = self._state.copy()
        state.update(b"secret\0" + secret.reveal())
        return state.hexdigest()

    def alert(self, *parts: str | int) -> str:
        """An id for an alert: the same for the same input. 32 hexadecimal digits."""
        state = self._state.copy()
        state.update(b"alert\0" + "\0".join(map(str, parts)).encode("utf-8", "surrogatepass"))
        return state.hexdigest()[:32]


def personal_key(path: Path) -> bytes:
    """The key of this user of the command line, made once and kept in a file that only the user can read."""
    try:
        return path.read_bytes()
    except OSError:
        key = secrets.token_hex(32).encode()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_bytes(key)
        except OSError:
            pass  # a read-only home: the key lives as long as the process
        return key
