"""Alibaba Cloud's signature of RPC calls, version 1.0: HMAC-SHA1 over the sorted parameters.

Arguments: ``id`` and ``secret`` of the access key. Parameters of the call stand in the URL's query.
Source: Alibaba Cloud, "Request signatures of RPC-style API operations" (alibabacloud.com/help/en/sdk).
"""

from __future__ import annotations

import base64
import hmac
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from service.probe.request import Request


def sign(request: Request, arguments: Mapping[str, str], now: datetime | None = None, nonce: str | None = None) -> Request:
    """The request with the parameters that every call has, and their signature."""
    url = urlsplit(request.url)
    asked = {
        "Format": "JSON",
        "AccessKeyId": arguments["id"],
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": nonce or uuid.uuid4().hex,
        "Timestamp": (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **dict(parse_qsl(url.query)),
    }
    joined = "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in sorted(asked.items()))
    text = f"{request.method}&{quote('/', safe='')}&{quote(joined, safe='~')}"
    signature = base64.b64encode(hmac.digest(f"{arguments['secret']}&".encode(), text.encode(), "sha1")).decode()
    signed = f"{joined}&Signature={quote(signature, safe='')}"
    return msgspec.structs.replace(request, url=f"{url.scheme}://{url.netloc}{url.path or '/'}?{signed}")
