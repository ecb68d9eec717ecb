"""What is computed: one flow a file, on pure kernels, carried by any engine."""
