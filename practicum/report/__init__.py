"""From records to tables, figures and the report, one self-contained HTML page."""
