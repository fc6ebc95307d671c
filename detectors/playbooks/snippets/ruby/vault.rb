require "vault"

# Vault takes VAULT_ADDR and VAULT_TOKEN from the environment.
def example_token
  answer = Vault.kv("secret").read("example-provider")
  value = answer && answer.data[:example_token]
  raise "secret/example-provider holds no field example_token" if value.nil?

  value
rescue Vault::VaultError => e
  raise "secret/example-provider cannot be read from Vault: #{e.class}"
end
