"""From bytes to events, and from encoded runs to what they hold."""
