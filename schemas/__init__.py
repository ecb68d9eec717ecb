"""What the data is: one declaration a record family, and everything derived from it."""
