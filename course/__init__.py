"""The chapters, their graders and the commands that serve them."""
