"""Grade a class: submissions in, gradebook, table and feedback out."""
