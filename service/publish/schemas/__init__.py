"""How an alert is written, one schema a file."""
