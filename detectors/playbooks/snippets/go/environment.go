package secrets

import (
	"errors"
	"os"
)

// ExampleToken reads the secret from the environment.
func ExampleToken() (string, error) {
	value := os.Getenv("EXAMPLE_TOKEN")
	if value == "" {
		return "", errors.New("EXAMPLE_TOKEN is not set")
	}
	return value, nil
}
