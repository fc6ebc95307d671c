"""AWS Signature Version 4, for a request with an empty body or a form.

Arguments: ``id`` and ``secret`` of the access key, ``region``, ``service``, and ``token`` for temporary keys. Google's
interoperable storage keys and S3-compatible stores speak it too.
Source: AWS, "Signature Version 4 signing process" (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from service.probe.request import Request

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


def sign(request: Request, arguments: Mapping[str, str], now: datetime | None = None) -> Request:
    """The request with ``Authorization``, ``X-Amz-Date`` and the digest of its body."""
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    url = urlsplit(request.url)
    digest = hashlib.sha256(request.body).hexdigest()
    headers = {"host": url.netloc, "x-amz-content-sha256": digest, "x-amz-date": moment}
    if "Content-Type" in request.headers:
        headers["content-type"] = request.headers["Content-Type"]
    if token := arguments.get("token"):
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    asked = sorted((quote(key, safe=""), quote(value, safe="")) for key, value in parse_qsl(url.query, True))
    canonical = "\n".join(
        (
            request.method,
            quote(url.path or "/", safe="/%~"),
            "&".join(f"{key}={value}" for key, value in asked),
            *(f"{name}:{headers[name]}" for name in sorted(headers)),
            "",
            names,
            digest,
        )
    )
    scope = f"{moment[:8]}/{arguments['region']}/{arguments['service']}/aws4_request"
    text = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{arguments['secret']}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    authorization = f"{_ALGORITHM} Credential={arguments['id']}/{scope}, SignedHeaders={names}, Signature={signature}"
    sent = {name: value for name, value in headers.items() if name not in ("host", "content-type")}
    return msgspec.structs.replace(request, headers={**request.headers, **sent, "Authorization": authorization})
