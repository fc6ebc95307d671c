using System;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text;
using System.Threading.Tasks;

internal static class ExampleToken
{
    private static readonly HttpClient Client = new() { Timeout = TimeSpan.FromSeconds(10) };

    public static async Task<string> ReadAsync()
    {
        var url = Setting("CONJUR_APPLIANCE_URL");
        var account = Setting("CONJUR_ACCOUNT");
        var login = Uri.EscapeDataString(Setting("CONJUR_AUTHN_LOGIN"));
        var name = Uri.EscapeDataString("example-provider/example_token");
        try
        {
            var key = new StringContent(Setting("CONJUR_AUTHN_API_KEY"));
            var session = await Client.PostAsync($"{url}/authn/{account}/{login}/authenticate", key);
            session.EnsureSuccessStatusCode();
            var token = Convert.ToBase64String(Encoding.UTF8.GetBytes(await session.Content.ReadAsStringAsync()));
            using var request = new HttpRequestMessage(HttpMethod.Get, $"{url}/secrets/{account}/variable/{name}");
            request.Headers.Authorization = new AuthenticationHeaderValue("Token", $"token=\"{token}\"");
            var answer = await Client.SendAsync(request);
            answer.EnsureSuccessStatusCode();
            return await answer.Content.ReadAsStringAsync();
        }
        catch (HttpRequestException error)
        {
            throw new InvalidOperationException("example-provider/example_token cannot be read from Conjur", error);
        }
    }

    private static string Setting(string name) =>
        Environment.GetEnvironmentVariable(name) ?? throw new InvalidOperationException($"{name} is not set");
}
