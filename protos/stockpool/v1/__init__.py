"""Version 1 of the contract. Each proto has its messages in ``NAME_pb2`` and its stubs and servicers in ``NAME_pb2_grpc``."""
