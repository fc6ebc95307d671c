package secrets

import (
	"fmt"

	"github.com/cyberark/conjur-api-go/conjurapi"
)

// ExampleToken reads the secret from Conjur; CONJUR_APPLIANCE_URL, CONJUR_ACCOUNT, CONJUR_AUTHN_LOGIN and
// CONJUR_AUTHN_API_KEY come from the environment.
func ExampleToken() (string, error) {
	settings, err := conjurapi.LoadConfig()
	if err != nil {
		return "", fmt.Errorf("settings of Conjur: %w", err)
	}
	client, err := conjurapi.NewClientFromEnvironment(settings)
	if err != nil {
		return "", fmt.Errorf("log-in to Conjur: %w", err)
	}
	value, err := client.RetrieveSecret("example-provider/example_token")
	if err != nil {
		return "", fmt.Errorf("example-provider/example_token cannot be read from Conjur: %w", err)
	}
	return string(value), nil
}
