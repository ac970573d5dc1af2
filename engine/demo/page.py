"""The report as one HTML page that needs nothing beside itself."""

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from engine.demo import figures
from engine.demo.charts import colour_of, draw_charts, is_weekly
from engine.demo.report import Report
from engine.demo.tally import MEANINGS

TEMPLATE = "report.html.j2"
STYLE_SHEET = "report.css"


def write_page(report: Report, path: Path) -> None:
    """Writes the page to ``path``, replacing what is there.

    Raises:
        OSError: it cannot be written.
    """
    path.write_text(render_page(report), encoding="utf-8")


def style_sheet() -> Markup:
    """The style of every page that the project writes."""
    return Markup(files("engine.demo").joinpath(STYLE_SHEET).read_text(encoding="utf-8"))  # noqa: S704 - our own file


def render_page(report: Report) -> str:
    """The page as text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    for name in ("count", "share", "money", "number", "milliseconds", "seconds", "size"):
        environment.filters[name] = getattr(figures, name)
    template = environment.from_string(files("engine.demo").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    return template.render(
        report=report,
        css=style_sheet(),
        charts={name: Markup(svg) for name, svg in draw_charts(report).items()},  # noqa: S704 - drawn here, from numbers
        colours={one.channel: colour_of(report, one.channel) for one in report.channels},
        rate_bucket="week" if is_weekly(report) else "day" if report.bucket_hours > 1 else "hour",
        meanings=MEANINGS,
    )
