"""The course for a class: JupyterHub, an exchange, a gradebook on PostgreSQL."""
