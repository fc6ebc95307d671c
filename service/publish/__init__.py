"""From findings to alerts that were delivered."""
