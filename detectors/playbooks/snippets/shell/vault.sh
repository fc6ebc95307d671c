set -eu
: "${VAULT_ADDR:?is not set}" "${VAULT_TOKEN:?is not set}"
EXAMPLE_TOKEN=$(vault kv get -mount=secret -field=example_token example-provider) || {
  echo "secret/example-provider or its field example_token cannot be read from Vault" >&2
  exit 1
}
export EXAMPLE_TOKEN
