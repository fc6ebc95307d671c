"""Where alerts go, one sink a file."""
