using System;
using System.Text.Json;
using System.Threading.Tasks;
using Amazon.SecretsManager;
using Amazon.SecretsManager.Model;

internal static class ExampleToken
{
    public static async Task<string> ReadAsync()
    {
        try
        {
            using var client = new AmazonSecretsManagerClient();
            var answer = await client.GetSecretValueAsync(new GetSecretValueRequest { SecretId = "example-provider" });
            using var fields = JsonDocument.Parse(answer.SecretString);
            if (!fields.RootElement.TryGetProperty("example_token", out var value))
            {
                throw new InvalidOperationException("example-provider holds no field example_token");
            }
            return value.GetString()!;
        }
        catch (AmazonSecretsManagerException error)
        {
            throw new InvalidOperationException("example-provider cannot be read from AWS Secrets Manager", error);
        }
    }
}
