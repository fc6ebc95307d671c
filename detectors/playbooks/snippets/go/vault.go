package secrets

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/api"
)

// ExampleToken reads the secret from Vault; VAULT_ADDR and VAULT_TOKEN come from the environment.
func ExampleToken(ctx context.Context) (string, error) {
	client, err := api.NewClient(api.DefaultConfig())
	if err != nil {
		return "", fmt.Errorf("settings of Vault: %w", err)
	}
	answer, err := client.KVv2("secret").Get(ctx, "example-provider")
	if err != nil {
		return "", fmt.Errorf("secret/example-provider cannot be read from Vault: %w", err)
	}
	value, found := answer.Data["example_token"].(string)
	if !found || value == "" {
		return "", errors.New("secret/example-provider holds no field example_token")
	}
	return value, nil
}
