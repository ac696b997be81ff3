"""Docstrings and types of the public API: numpydoc's rules, defaults, what is inherited."""

import inspect
import pydoc
import types

import numpy as np
import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

import fmcam
from fmcam.classifiers import CNNClassifier, LeNet5Classifier
from fmcam.explain import FullGrad, GradCAM, GuidedGradCAM, RandomMap
from fmcam.localize import CAMLocalizer, HeatmapToBox

# Rules of numpydoc that are not kept, and why.
LEFT_OUT = {
    "ES01": "one line often tells all",
    "SA01": "many have nothing to be compared with",
    "SS05": "a first line says what one gets, which need not begin with a verb",
    "RT02": "a result has a name where the name tells something",
    "RT03": "the first line has said it",
    "RT04": "a description may begin with the name of a column or a coordinate",
    "PR08": "the same",
}
# What a method of skorch, torch or scikit-learn takes, they say; except those that users call.
ABOUT_ARGUMENTS = {"PR01", "RT01", "YD01"}
CALLED = {"fit", "partial_fit", "predict", "predict_proba", "transform", "score"}
METHODS = types.FunctionType | classmethod | staticmethod  # scikit-learn's own are of other types


def documented_in(package):
    """Classes and functions of a package, and methods, each where it is defined, by dotted name."""
    names = {}
    for name in getattr(fmcam, package).__all__:
        public = getattr(getattr(fmcam, package), name)
        names.setdefault(public, f"fmcam.{package}.{name}")
        for owner in public.__mro__ if inspect.isclass(public) else ():
            if owner.__module__.startswith("fmcam."):
                for method, member in vars(owner).items():
                    if method[0] != "_" and isinstance(member, METHODS):
                        names.setdefault(member, f"fmcam.{package}.{name}.{method}")
    return names.values()


def is_of_others(dotted):
    """Whether a method overrides one of another library that users do not call."""
    owner, _, name = dotted.rpartition(".")
    bases = getattr(pydoc.locate(owner), "__mro__", ())
    others = [base for base in bases if not base.__module__.startswith("fmcam.")]
    return name not in CALLED and any(name in vars(base) for base in others)


def faults(dotted):
    """The rules of numpydoc that are broken, but for those left out."""
    *_, owner, name = dotted.split(".")
    owner = pydoc.locate(dotted.rpartition(".")[0])
    public = getattr(owner, name)
    left_out = {*LEFT_OUT}
    if inspect.isclass(owner):
        left_out |= {"EX01"}
        left_out |= ABOUT_ARGUMENTS if is_of_others(dotted) else set()
    if inspect.isclass(public) and issubclass(public, CNNClassifier):
        left_out |= {"PR02"}  # `**kwargs`, see the test of what it takes
    return [error for error in validate(dotted)["errors"] if error[0] not in left_out]


def untyped(dotted):
    """The parameters of a function or constructor without a type, and "return"."""
    public = pydoc.locate(dotted)
    function = vars(public).get("__init__") if inspect.isclass(public) else public
    if not isinstance(inspect.unwrap(function), types.FunctionType | types.MethodType):
        return []  # the constructor is that of a base, or made of the fields of a dataclass
    signature = inspect.signature(function)
    found = {name: one.annotation for name, one in signature.parameters.items() if name != "self"}
    found["return"] = signature.return_annotation
    return [name for name, annotation in found.items() if annotation is inspect.Signature.empty]


def parameters_of(documented):
    """Types as documented, by the name of the parameter."""
    entries = NumpyDocString(inspect.getdoc(documented))["Parameters"]
    return {name: entry.type for entry in entries for name in entry.name.split(", ")}


@pytest.mark.parametrize("package", fmcam.__all__)
def test_numpydoc_finds_no_fault(package):
    found = {dotted: faults(dotted) for dotted in documented_in(package)}
    assert {dotted: broken for dotted, broken in found.items() if broken} == {}


@pytest.mark.parametrize("package", fmcam.__all__)
def test_signatures_have_types(package):
    of_ours = [dotted for dotted in documented_in(package) if not is_of_others(dotted)]
    assert {dotted: untyped(dotted) for dotted in of_ours if untyped(dotted)} == {}


@pytest.mark.parametrize("package", fmcam.__all__)
def test_defaults_are_those_of_the_signature(package):
    wrong = {}
    for dotted in documented_in(package):
        documented = pydoc.locate(dotted)
        signature = inspect.signature(documented).parameters
        for name, kind in parameters_of(documented).items():
            default = signature[name].default if name in signature else inspect.Parameter.empty
            if default is not inspect.Parameter.empty and not tells(kind, default):
                wrong[dotted, name] = kind, default
    assert wrong == {}


def tells(kind, default):
    """Whether the documented type names a default."""
    _, found, text = kind.partition("default=")
    if not found:
        return default is None and kind.endswith("optional")
    if inspect.isclass(default):
        return text.rpartition(".")[2] == default.__name__
    told = eval(text)
    return told == default or told is default  # NaN is no equal of itself


@pytest.mark.parametrize(
    ("kind", "default", "right"),
    [
        ("int, default=3", 3, True),
        ("int, default=3", 4, False),
        ("int, optional", None, True),
        ("int, optional", 3, False),
        ("int", 3, False),
        ('"a" or None, default="a"', "a", True),
        ("class, default=torch.optim.Adam", np.ndarray, False),
    ],
)
def test_another_default_than_that_of_the_signature_is_seen(kind, default, right):
    assert tells(kind, default) is right


def test_faults_are_seen(monkeypatch):
    monkeypatch.setattr(GradCAM, "__doc__", GradCAM.__doc__.replace("align :", "other :"))
    assert {code for code, _ in faults("fmcam.explain.GradCAM")} == {"PR01", "PR02"}
    monkeypatch.setattr(GradCAM, "__doc__", "heatmaps")
    assert {code for code, _ in faults("fmcam.explain.GradCAM")} >= {"SS02", "SS03", "EX01"}


def test_help_of_an_explainer_tells_all_its_parameters():
    text = pydoc.plain(pydoc.render_doc(GradCAM))
    of_class, of_methods = text.split("Methods defined here:")
    for name in inspect.signature(GradCAM).parameters:
        assert of_class.count(f" {name} : ") == 1
    assert "estimator_ : " in of_class
    assert "The layer's maps A." in of_methods  # of `combine`


def test_a_classifier_tells_what_its_keyword_arguments_may_be():
    documented = parameters_of(LeNet5Classifier)
    assert [*documented] == [*parameters_of(CNNClassifier)]
    assert documented["module"].endswith("default=LeNet5")
    assert {*documented} - {"**kwargs"} <= {*LeNet5Classifier().get_params(deep=False)}


def test_what_a_class_says_itself_stays():
    assert "weighted sum of outputs" in FullGrad.__doc__
    assert FullGrad.__doc__.count("target : ") == 1
    assert "its network is not used" in RandomMap.__doc__
    assert [*parameters_of(GuidedGradCAM)] == [*inspect.signature(GuidedGradCAM).parameters]


def test_documented_attributes_are_there_after_fit():
    X = np.repeat(np.uint8([0, 255]), 4 * 28 * 28).reshape(8, 28, 28)
    y, boxes = np.repeat([0, 1], 4), np.tile([0, 0, 28, 28], (8, 1))
    clf = LeNet5Classifier(max_epochs=1, random_state=0)
    fitted = [
        clf.fit(X, y),
        GradCAM(clf).fit(X, y),
        HeatmapToBox().fit(X / 255, boxes),
        CAMLocalizer(GradCAM(clf), HeatmapToBox()).fit(X, boxes, labels=y),
    ]
    for estimator in fitted:
        attributes = NumpyDocString(inspect.getdoc(type(estimator)))["Attributes"]
        assert attributes
        assert [one.name for one in attributes if not hasattr(estimator, one.name)] == []
