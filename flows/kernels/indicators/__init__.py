"""Indicators on bars: one family a file; `registry` lists them all."""
