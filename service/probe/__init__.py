"""Whether a secret is live, asked of its provider. Switched off until it is asked for."""
