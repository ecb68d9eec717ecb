"""Kills the real programs, again and again, and proves that nothing was lost or doubled."""
