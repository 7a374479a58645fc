"""Curvature matrices, one a file."""
