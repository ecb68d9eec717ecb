"""One reader of the log for all who look: the newest rows for queries, and streams for subscribers."""
