"""What a student sees: JupyterLab, the start page, checks and the doctor."""
