"""How many threads the libraries of this process would use."""

from threadpoolctl import threadpool_info


def thread_counts():
    """How many threads PyTorch, its MKL, and each OpenMP and BLAS library would use now."""
    import torch  # not with this module: workers of a search that do without would import it, too

    lines = torch.__config__.parallel_info().splitlines()
    mkl = [int(line.split()[-1]) for line in lines if "mkl_get_max_threads" in line]
    return [torch.get_num_threads(), *mkl, *(pool["num_threads"] for pool in threadpool_info())]
