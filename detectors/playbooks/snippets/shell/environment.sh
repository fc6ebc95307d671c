set -eu
: "${EXAMPLE_TOKEN:?is not set}"
