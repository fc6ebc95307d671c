"""From bytes to hits, and from decoded text to candidates."""
