"""How requests are signed: one file a scheme, with a function ``sign``."""
