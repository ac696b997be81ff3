"""What several benchmarks choose from."""

__all__ = ["NETS"]

NETS = ("simplecnn", "lenet5", "twoblocks")
