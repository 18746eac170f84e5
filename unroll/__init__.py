"""Iterations as layers: networks unrolled from algorithms."""
