"""A fuzzer for graphc that can be left running: `python -m tests.fuzz --seconds 1800`."""
