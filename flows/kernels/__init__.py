"""Pure numeric functions over arrays: no I/O, no clock, no engine, no settings."""
