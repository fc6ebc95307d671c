import nodeVault from "node-vault";

export async function exampleToken() {
  const { VAULT_ADDR: endpoint, VAULT_TOKEN: token } = process.env;
  if (!endpoint || !token) {
    throw new Error("VAULT_ADDR or VAULT_TOKEN is not set");
  }
  let answer;
  try {
    answer = await nodeVault({ endpoint, token }).read("secret/data/example-provider");
  } catch (error) {
    throw new Error("secret/example-provider cannot be read from Vault", { cause: error });
  }
  const value = answer.data.data.example_token;
  if (!value) {
    throw new Error("secret/example-provider holds no field example_token");
  }
  return value;
}
