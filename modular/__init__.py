"""Modules that learn locally: training without end-to-end backpropagation.

This package is planned and still empty: see the README for what is available.
"""
