"""How answers are read that a table cannot describe: one file each, with a function ``read``."""
