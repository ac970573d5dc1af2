"""``python -m engine``, and the entry point of the ``stockpool`` command."""

from engine.cli.main import app


def main() -> None:
    """Runs the command line."""
    app(prog_name="stockpool")


if __name__ == "__main__":
    main()
