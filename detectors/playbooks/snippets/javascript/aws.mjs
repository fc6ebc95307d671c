import { GetSecretValueCommand, SecretsManagerClient } from "@aws-sdk/client-secrets-manager";

export async function exampleToken() {
  let answer;
  try {
    const client = new SecretsManagerClient();
    answer = await client.send(new GetSecretValueCommand({ SecretId: "example-provider" }));
  } catch (error) {
    throw new Error("example-provider cannot be read from AWS Secrets Manager", { cause: error });
  }
  const value = JSON.parse(answer.SecretString).example_token;
  if (!value) {
    throw new Error("example-provider holds no field example_token");
  }
  return value;
}
