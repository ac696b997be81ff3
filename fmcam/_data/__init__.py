"""Images and labels as users pass them, arrays, data sets and loaders, and batches of them."""
