import json

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def example_token() -> str:
    try:
        client = boto3.client("secretsmanager")
        answer = client.get_secret_value(SecretId="example-provider")
        value = json.loads(answer["SecretString"])["example_token"]
    except (BotoCoreError, ClientError) as error:
        raise RuntimeError("example-provider cannot be read from AWS Secrets Manager") from error
    except (KeyError, ValueError):
        raise RuntimeError("example-provider holds no field example_token") from None
    return str(value)
