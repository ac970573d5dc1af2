"""The command line ``stockpool``: commands are noun then verb where there is a choice of verbs; each one has ``--json``.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""
