"""The offline checks, one algorithm a file; the file's name is the check's."""
