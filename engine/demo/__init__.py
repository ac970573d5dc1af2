"""The demo: a scenario (made by seed, or a pack of real orders), the callers who play it, and the report."""
