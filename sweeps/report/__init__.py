"""What a sweep taught us, as one page to read, show and keep."""

from sweeps.report.data import Shown, report_data, shown_trials
from sweeps.report.page import write_report

__all__ = ["Shown", "report_data", "shown_trials", "write_report"]
