"""The programs: command line, API, store, supervision."""
