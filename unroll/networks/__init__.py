"""Networks unrolled from algorithms: a file per method, one base for all."""
