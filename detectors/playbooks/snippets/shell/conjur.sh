set -eu
: "${CONJUR_APPLIANCE_URL:?is not set}" "${CONJUR_ACCOUNT:?is not set}"
: "${CONJUR_AUTHN_LOGIN:?is not set}" "${CONJUR_AUTHN_API_KEY:?is not set}"

encoded() { jq -rn --arg text "$1" '$text | @uri'; }

session=$(printf '%s' "$CONJUR_AUTHN_API_KEY" | curl -fsS --max-time 10 --data-binary @- -H "Accept-Encoding: base64" \
  "$CONJUR_APPLIANCE_URL/authn/$CONJUR_ACCOUNT/$(encoded "$CONJUR_AUTHN_LOGIN")/authenticate") || exit 1
EXAMPLE_TOKEN=$(printf 'header = "Authorization: Token token=\\"%s\\""\n' "$session" | curl -fsS --max-time 10 --config - \
  "$CONJUR_APPLIANCE_URL/secrets/$CONJUR_ACCOUNT/variable/$(encoded "example-provider/example_token")") || {
  echo "example-provider/example_token cannot be read from Conjur" >&2
  exit 1
}
export EXAMPLE_TOKEN
