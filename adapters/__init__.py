"""Systems outside: what an adapter is (``port``), and the first one, files."""
