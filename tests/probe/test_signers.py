"""Signatures, against the examples that their inventors publish."""

from datetime import UTC, datetime

import pytest

from service.probe.request import Request
from service.probe.signers import alibaba_rpc, aws_sigv4

AWS = {
    "id": "AKIA" + "IOSFODNN7EXAMPLE",
    "secret": "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY",
    "region": "us-east-1",
    "service": "s3",
}


@pytest.mark.parametrize(
    ("path", "signature"),
    [
        ("/?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_sigv4_as_the_documentation_of_s3_has_it(path: str, signature: str) -> None:
    request = Request("GET", f"https://examplebucket.s3.amazonaws.com{path}", {}, b"")

    signed = aws_sigv4.sign(request, AWS, datetime(2013, 5, 24, tzinfo=UTC))

    assert signed.headers["x-amz-date"] == "20130524T000000Z"
    assert signed.headers["Authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={AWS['id']}/20130524/us-east-1/s3/aws4_request,"
        f" SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
    )


def test_sigv4_signs_the_token_of_temporary_keys() -> None:
    request = Request("POST", "https://sts.amazonaws.com/", {"Content-Type": "application/x-www-form-urlencoded"}, b"a=b")

    signed = aws_sigv4.sign(request, {**AWS, "token": "made-up"})

    assert signed.headers["x-amz-security-token"] == "made-up"
    assert (
        "SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token"
        in (signed.headers["Authorization"])
    )


def test_alibabas_signature_as_its_documentation_has_it() -> None:
    request = Request("GET", "https://ecs.aliyuncs.com/?Action=DescribeRegions&Format=XML&Version=2014-05-26", {}, b"")

    signed = alibaba_rpc.sign(
        request,
        {"id": "testid", "secret": "testsecret"},
        datetime(2016, 2, 23, 12, 46, 24, tzinfo=UTC),
        "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
    )

    assert signed.url.startswith("https://ecs.aliyuncs.com/?AccessKeyId=testid&Action=DescribeRegions&")
    assert signed.url.endswith("&Signature=OLeaidS1JvxuMvnyHOwuJ%2BuX5qY%3D")
