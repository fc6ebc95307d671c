"""From candidates to findings with a confidence, or to a typed reason why not."""
