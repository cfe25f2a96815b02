"""Results in, one self-contained HTML page and PNG figures out. Knows records, not models."""

from wasserscore.report.page import write_report as write_report
