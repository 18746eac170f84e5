"""What ``python -m course`` calls; nothing is imported before it is called."""
