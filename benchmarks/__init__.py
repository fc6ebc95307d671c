"""Every figure of the README, printed by a command."""
