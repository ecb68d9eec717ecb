"""How data enters and leaves: one file an outside system."""
