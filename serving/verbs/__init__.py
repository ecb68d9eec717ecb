"""The verbs of the command line, one group a file; each loads what it needs when it is called."""
