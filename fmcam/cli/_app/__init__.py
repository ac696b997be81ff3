"""The page of `fmcam app`: networks, what they say about a photograph, and how it is shown."""
