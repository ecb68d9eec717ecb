"""The way of orders into the log: checked, written together, on disk before they are acknowledged."""
