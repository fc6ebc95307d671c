package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// ExampleToken reads the secret from AWS Secrets Manager.
func ExampleToken(ctx context.Context) (string, error) {
	settings, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return "", fmt.Errorf("settings of AWS: %w", err)
	}
	answer, err := secretsmanager.NewFromConfig(settings).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId: aws.String("example-provider"),
	})
	if err != nil {
		return "", fmt.Errorf("example-provider cannot be read from AWS Secrets Manager: %w", err)
	}
	var fields map[string]string
	if err := json.Unmarshal([]byte(aws.ToString(answer.SecretString)), &fields); err != nil {
		return "", errors.New("example-provider holds no JSON object of strings")
	}
	if fields["example_token"] == "" {
		return "", errors.New("example-provider holds no field example_token")
	}
	return fields["example_token"], nil
}
