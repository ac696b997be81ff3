"""The names of all networks and weights, read without torch: a mistyped one is told at once."""

import importlib.util
import re
from fnmatch import fnmatch
from pathlib import Path

from fmcam import models
from fmcam._suggest import suggest

__all__ = ["find_model", "folder_of", "list_models", "list_weights", "own_networks"]

_REGISTERED = re.compile(r"^@register_model\b.*\n(?:@.*\n)*def (\w+)\(", re.MULTILINE)
_WEIGHTS_OF = re.compile(r"^def (\w+)\(\s*\*,\s*weights: Optional\[(\w+)\]", re.MULTILINE)
_WEIGHTS = re.compile(r"^class (\w+)\(WeightsEnum\):\n((?: .*\n|\n)+)", re.MULTILINE)
_MEMBER = re.compile(r"^    (\w+) = ", re.MULTILINE)


def own_networks():
    """The name of the class of each network of this package, by the name of the network.

    Every public class of `fmcam.models` is one, but for those that standardize images.
    """
    kinds = [name for name in dir(models) if name[0].isupper()]
    return {
        kind.lower().replace("_", "-"): kind for kind in kinds if not kind.startswith("Standardize")
    }


def _registered(package):
    """The names in a package's registry of networks, read from its source.

    torchvision and timm would tell them themselves, after the seconds that importing them takes.
    """
    return sorted(name for source in _sources(package) for name in _REGISTERED.findall(source))


def _sources(package):
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return []
    files = Path(spec.submodule_search_locations[0], "models").glob("*.py")
    return [file.read_text(encoding="utf-8") for file in files]


def _torchvision_weights(name):
    """The names of the weights of a network of torchvision, read from its source, too."""
    for source in _sources("torchvision"):
        kind = dict(_WEIGHTS_OF.findall(source)).get(name)
        if kind is not None:
            return _MEMBER.findall(dict(_WEIGHTS.findall(source))[kind])
    return []


_NAMES = {
    "": lambda: list(own_networks()),
    "torchvision/": lambda: _registered("torchvision"),
    "timm/": lambda: _registered("timm"),
}


def list_models(pattern: str | None = None) -> list[str]:
    """The names that :func:`get_model` knows, "hf/FOLDER" apart.

    Parameters
    ----------
    pattern : str or None, default=None
        With ``*`` and ``?`` as in a shell, for the whole name or for what stands behind the source.

    Returns
    -------
    list of str
        timm's are among them where timm is installed.

    Examples
    --------
    >>> from fmcam.models import list_models
    >>> list_models("lenet*")
    ['lenet5']
    >>> list_models("torchvision/resnet1??")
    ['torchvision/resnet101', 'torchvision/resnet152']
    """
    found = [prefix + name for prefix, names in _NAMES.items() for name in names()]
    if pattern is None:
        return found
    return [n for n in found if fnmatch(n, pattern) or fnmatch(n.rpartition("/")[2], pattern)]


def list_weights(name: str) -> list[str]:
    """The names of the weights that are published for a network.

    Parameters
    ----------
    name : str
        As for :func:`get_model`.

    Returns
    -------
    list of str
        What `weights` of :func:`get_model` may be but for a file; empty where none are published.

    Raises
    ------
    ValueError
        For an unknown network.

    Examples
    --------
    >>> from fmcam.models import list_weights
    >>> list_weights("torchvision/resnet50"), list_weights("lenet5")
    (['DEFAULT', 'IMAGENET1K_V1', 'IMAGENET1K_V2'], [])
    """
    full = find_model(name)
    if full.startswith("hf/"):
        return ["DEFAULT"]
    source, _, short = full.rpartition("/")
    if source == "timm":
        from fmcam.models import _timm

        found = _timm.published(short)
    else:
        found = _torchvision_weights(short) if source or short == "resnet18" else []
    return list(dict.fromkeys(["DEFAULT", *found])) if found else []


def find_model(name: str) -> str:
    """The full name of a network, which says where it comes from.

    Parameters
    ----------
    name : str
        As for :func:`get_model`.

    Returns
    -------
    str
        One of :func:`list_models`, for timm with the tag of its weights if `name` has one, or
        "hf/FOLDER".

    Raises
    ------
    ValueError
        For an unknown name. The message names those that are alike.
    FileNotFoundError
        If there is no such folder of Hugging Face.
    ImportError
        For a network of timm where timm is not installed.

    Examples
    --------
    >>> from fmcam.models import find_model
    >>> find_model("LeNet5"), find_model("resnet50")
    ('lenet5', 'torchvision/resnet50')
    """
    if not isinstance(name, str):
        raise TypeError(f"A network is asked for by its name, a str; got a {type(name).__name__}.")
    prefix = name[: name.find("/") + 1]
    if prefix == "hf/":
        folder_of(name.removeprefix(prefix))
        return name
    if prefix == "timm/" and importlib.util.find_spec("timm") is None:
        raise ImportError("timm's networks need timm: pip install timm")
    prefix = prefix if prefix in _NAMES else ""
    short, known = name.removeprefix(prefix), []
    for source in [prefix] if prefix else _NAMES:
        names = _NAMES[source]()
        found = _spelled(short, names, source)
        if found is not None:
            return source + found
        known += [prefix + one for one in names]
    hint = (
        f" For a folder of Hugging Face, write hf/{name}." if name and Path(name).is_dir() else ""
    )
    raise ValueError(f"There is no network {name!r}. {suggest(name, known)}{hint}")


def folder_of(name):
    """The folder of a network of Hugging Face; raises FileNotFoundError if there is none."""
    folder = Path(name).expanduser()
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(
            f"hf/{name} must name a folder on this machine that save_pretrained wrote; there is no "
            f"{folder / 'config.json'}."
        )
    return folder


def _spelled(name, names, source):
    """A name as its source spells it; None if there is no such network."""
    if source == "":
        plain = {own.replace("-", ""): own for own in names}
        return plain.get(name.lower().replace("-", "").replace("_", ""))
    base, _, tag = name.partition(".")
    if base not in names or (tag and not _has_weights(source, base, tag)):
        return None
    return name


def _has_weights(source, name, tag):
    whole = re.compile(rf"\b{re.escape(tag)}\b")
    if source != "timm/" or not any(map(whole.search, _sources("timm"))):
        return False  # a mistyped tag is told before timm, and with it torch, is imported
    from fmcam.models import _timm

    return tag in _timm.published(name)
