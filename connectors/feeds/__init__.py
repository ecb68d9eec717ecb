"""Readers of outside formats, one a file, and the seeded market simulator."""
