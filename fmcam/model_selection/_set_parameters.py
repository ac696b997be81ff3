"""The estimator of a candidate."""

from sklearn.base import clone

from fmcam._suggest import nearest, suggest

__all__ = ["configured"]


def configured(estimator, parameters, space):
    """Clone `estimator` and set `parameters`; a name that it does not know is an error.

    `space` is the argument that the error speaks of, such as "param_grid".
    """
    estimator = clone(estimator)
    for name, value in sorted(parameters.items()):  # "step" comes before "step__alpha"
        try:
            estimator.set_params(**{name: clone(value, safe=False)})
        except (AttributeError, TypeError, ValueError) as error:
            names = estimator.get_params()
            if name in names:
                raise
            hint = suggest(name, list(names))
            if "Did you mean" in str(error) and not nearest(name, names):
                hint = error  # a classifier of ours knows the options of its optimizer too
            raise ValueError(
                f"`{space}` must name parameters of {type(estimator).__name__}, "
                f"got {name!r}. {hint}"
            ) from error
    return estimator
