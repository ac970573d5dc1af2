"""The contract in Python: one package a version, compiled from the protos beside it."""
