"""The slow, obvious twin of the whole engine: plain dictionaries, no NumPy, nothing imported from the engine but its words.

It judges every command on its own and says in full what must be answered. One thing it takes from the engine: which nodes share
a line that no node can serve whole. That choice is a heuristic; the oracle checks that it is allowed and adopts it.
"""

from engine.proof.oracle.state import Choice, State
from engine.proof.oracle.store import Oracle

__all__ = ["Choice", "Oracle", "State"]
