"""The engine in a world where everything fails, decided by one seed: its own step, codec and recovery over a disk made of bytes."""
