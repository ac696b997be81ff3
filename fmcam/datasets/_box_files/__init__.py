"""One module for each kind of file that people keep boxes in; each has one function, `read`.

`read(path)` returns rows of image, label, x0, y0, x1, y1, width and height as the file has them,
None where it does not say, and raises a ValueError that names what is wrong.
"""
