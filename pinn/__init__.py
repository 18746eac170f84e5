"""One balance law, several discretisations: physics-informed networks on DeepXDE.

This package is planned and still empty: see the README for what is available.
"""
