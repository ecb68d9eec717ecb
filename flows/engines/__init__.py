"""What carries a flow: in process, on Bytewax, on Flink."""
