"""The page of a results folder: what is in the folder, and its HTML."""
