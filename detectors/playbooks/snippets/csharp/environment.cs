using System;

internal static class ExampleToken
{
    public static string Read()
    {
        var value = Environment.GetEnvironmentVariable("EXAMPLE_TOKEN");
        if (string.IsNullOrEmpty(value))
        {
            throw new InvalidOperationException("EXAMPLE_TOKEN is not set");
        }
        return value;
    }
}
