"""What was measured, one question a script: `python -m experiments.<name> --help`."""
