"""The catalogue: one TOML file a provider, and nothing else to add a secret type."""
