"""Speed against named rivals, measured in turns in one run."""
