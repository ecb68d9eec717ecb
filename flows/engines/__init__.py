"""What carries a flow: in process and on Bytewax."""
