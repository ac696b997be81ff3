"""The list of explainers by name."""

import inspect

import pytest

import fmcam.explain
from fmcam.explain import GradCAM, GradCAMPlusPlus, LeGrad, get_explainer, list_explainers
from fmcam.explain._base import BaseExplainer


def test_every_public_explainer_of_a_classifier_has_a_name():
    public = {
        kind
        for name in fmcam.explain.__all__
        if inspect.isclass(kind := getattr(fmcam.explain, name)) and issubclass(kind, BaseExplainer)
    }
    named = {get_explainer(name) for name in list_explainers()}
    assert named == public - {fmcam.explain.SmoothedExplainer}  # which takes an explainer
    assert len(named) == len(list_explainers())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("grad-cam", GradCAM),
        ("GradCAM", GradCAM),
        ("grad_cam", GradCAM),
        ("Grad CAM", GradCAM),
        ("grad-cam++", GradCAMPlusPlus),
        ("GradCAM++", GradCAMPlusPlus),
        ("gradcamplusplus", GradCAMPlusPlus),
        ("le-grad", LeGrad),
    ],
)
def test_names_as_people_type_them(name, expected):
    assert get_explainer(name) is expected


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("grad-cm", "Did you mean 'grad-cam'"),
        ("shaply-cam", "Did you mean 'shapley-cam'"),
        ("rollout", "Did you mean 'attention-rollout'"),
        ("lime", "Known are ablation-cam, attention-rollout, cam,"),
        ("", "Known are ablation-cam,"),
    ],
)
def test_a_typo_gets_a_hint(name, hint):
    with pytest.raises(ValueError, match=f"There is no explainer '{name}'. {hint}"):
        get_explainer(name)


def test_a_class_is_no_name():
    with pytest.raises(TypeError, match="`name` must be a str such as 'grad-cam', got a ABCMeta"):
        get_explainer(GradCAM)
