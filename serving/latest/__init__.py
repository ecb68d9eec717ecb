"""What topics say now: the newest row of each key, and how orders stand, from the log's tail."""
