"""Results in, one self-contained HTML page and PNG figures out. Knows records, not models."""

from wasserscore.report.canvas import figure_bytes as figure_bytes
from wasserscore.report.compare_figure import compare_figure as compare_figure
from wasserscore.report.motion import Motion as Motion
from wasserscore.report.page import write_audit as write_audit
from wasserscore.report.page import write_flow as write_flow
from wasserscore.report.page import write_report as write_report
from wasserscore.report.plan_figure import plan_figure as plan_figure
