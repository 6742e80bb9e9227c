"""How long files of tests take: whoever shares them out begins with the heaviest. A table has a line "FILE SECONDS" for each."""
from collections import defaultdict
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


class Seconds:
    """A table of what was measured once."""

    def __init__(self, table):
        self.known = {name: float(seconds) for name, seconds in (line.split() for line in table.read_text().splitlines())}

    def of(self, name, lines_a_second=10):
        """Seconds for a file, named from the top of the tree; by its length when it has not been measured."""
        return self.known.get(name) or len((TOP / name).read_text().splitlines()) / lines_a_second


def write_seconds(table, reports):
    """Makes a table of the reports of a run: what takes a second or more."""
    total = defaultdict(float)
    for report in reports:
        total["tests/" + report.nodeid.split("::")[0]] += report.duration
    lines = [f"{name} {seconds:.0f}\n" for name, seconds in sorted(total.items()) if seconds >= 1]
    Path(table).write_text("".join(lines))
