"""Probes, one a file; the catalog finds them."""
