"""Scripts that answer one question each: `python -m experiments.<name> --help`."""
