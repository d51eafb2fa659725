"""From a run folder to what a person reads: how it stands, and a report in HTML."""
