"""Images and labels as people bring them (arrays, data sets, loaders), and batches made of them."""
