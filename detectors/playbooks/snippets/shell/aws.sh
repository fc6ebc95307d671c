set -eu
EXAMPLE_TOKEN=$(aws secretsmanager get-secret-value --secret-id example-provider --query SecretString --output text) || {
  echo "example-provider cannot be read from AWS Secrets Manager" >&2
  exit 1
}
EXAMPLE_TOKEN=$(printf '%s' "$EXAMPLE_TOKEN" | jq -er .example_token) || {
  echo "example-provider holds no field example_token" >&2
  exit 1
}
export EXAMPLE_TOKEN
