"""From the texts of the course to the notebooks that students get."""
