using System;
using System.Threading.Tasks;
using VaultSharp;
using VaultSharp.Core;
using VaultSharp.V1.AuthMethods.Token;

internal static class ExampleToken
{
    public static async Task<string> ReadAsync()
    {
        var address = Setting("VAULT_ADDR");
        var login = new TokenAuthMethodInfo(Setting("VAULT_TOKEN"));
        try
        {
            var client = new VaultClient(new VaultClientSettings(address, login));
            var answer = await client.V1.Secrets.KeyValue.V2.ReadSecretAsync(path: "example-provider", mountPoint: "secret");
            if (!answer.Data.Data.TryGetValue("example_token", out var value))
            {
                throw new InvalidOperationException("secret/example-provider holds no field example_token");
            }
            return value.ToString()!;
        }
        catch (VaultApiException error)
        {
            throw new InvalidOperationException("secret/example-provider cannot be read from Vault", error);
        }
    }

    private static string Setting(string name) =>
        Environment.GetEnvironmentVariable(name) ?? throw new InvalidOperationException($"{name} is not set");
}
