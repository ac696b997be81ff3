"""A YAML file of settings: read, with every name in it known, and written."""

import argparse
import dataclasses
import math
from dataclasses import dataclass

import yaml

from fmcam._suggest import nearest, suggest
from fmcam.cli._option import TYPES, fields_of, other_names, plain, typed
from fmcam.cli._yaml import mapping_of, read_yaml

__all__ = ["as_yaml", "values_in_file"]


@dataclass(frozen=True)
class _Names:
    """The names that a file may have, and the settings that they stand for.

    Parameters
    ----------
    top : dict of str to str
        Those that stand by themselves.
    sections : dict of str to dict of str to str
        Those in each section.
    """

    top: dict[str, str]
    sections: dict[str, dict[str, str]]

    def settings_in(self, content):
        """The value of each setting in a file, as YAML has them, and what is unknown in it.

        Parameters
        ----------
        content : dict
            Of :func:`read_yaml`.

        Returns
        -------
        found : dict of str to object
            By the names of the settings.
        unknown : list of (str, str)
            The section, or nothing, and the name.

        Raises
        ------
        ValueError
            If a setting is there twice. The message goes on after the path of the file.
        """
        found: dict[str, object] = {}
        unknown = []
        for section, name, value in self._lines(content):
            known = self.sections[section] if section else self.top
            if plain(name) not in known:
                unknown.append((section, str(name)))
            elif known[plain(name)] in found:
                place = f": {section}" if section else ""
                raise ValueError(f"{place} sets {known[plain(name)]} a second time")
            else:
                found[known[plain(name)]] = value
        return found, unknown

    def _lines(self, content):
        for name, value in content.items():
            section = plain(name)
            if section in self.sections and (isinstance(value, dict) or section not in self.top):
                for inner, inner_value in mapping_of(value, f": {name}").items():
                    yield section, inner, inner_value
            else:
                yield "", name, value

    def refusal(self, unknown):
        """What a message about unknown names says after the path of the file."""
        if len(unknown) > 1:
            listed = ", ".join(
                f"{section}{': ' * bool(section)}{name!r}{self._hint(section, name, ' ({})')}"
                for section, name in unknown
            )
            return f" has {len(unknown)} unknown settings: {listed}"
        ((section, name),) = unknown
        hint = self._hint(section, name, "{}") or suggest(name, self._known(section))
        place = f": {section}" if section else ""
        return f"{place} has an unknown setting {name!r}. {hint}"

    def _known(self, section):
        """The names that a section may have, or that may stand by themselves."""
        return self.sections[section] if section else {**self.sections, **self.top}

    def _hint(self, section, name, form):
        """Where a name belongs, or what it probably means; nothing, if that is not known."""
        owners = [owner for owner, names in self.sections.items() if plain(name) in names]
        if not owners and plain(name) in self.top:
            return form.format("It stands outside of sections.")
        if len(owners) == 1:
            return form.format(f"It belongs to {owners[0]}.")
        near = nearest(name, self._known(section))
        return form.format(f"Did you mean {near[0]!r}?") if near else ""


def values_in_file(config_class, path):
    """The values of the fields that a file sets.

    Parameters
    ----------
    config_class : dataclass
        With fields made by :func:`option`, and perhaps by :func:`settings_of`.
    path : str

    Returns
    -------
    dict of str to object

    Raises
    ------
    ValueError
        If the file cannot be read, names something unknown, or has a value that is none. The
        message goes on after the path.
    """
    content = read_yaml(path)
    for field in dataclasses.fields(config_class):
        other_class = field.metadata.get("of_file")
        if other_class and _n_misfits(other_class, content) < _n_misfits(config_class, content):
            return {field.name: other_class(**_values(other_class, content))}
    return _values(config_class, content)


def _n_misfits(config_class, content):
    """How much of a file is not of these settings."""
    found, unknown = _names(config_class).settings_in(content)
    return len(unknown) + sum(isinstance(value, dict) for value in found.values())


def _values(config_class, content):
    """The values of the fields that a file sets."""
    names = _names(config_class)
    given, unknown = names.settings_in(content)
    if unknown:
        raise ValueError(names.refusal(unknown))
    fields = {
        field.name: (field, kind, several) for field, kind, several in fields_of(config_class)
    }
    return {name: _of_yaml(name, value, *fields[name]) for name, value in given.items()}


def _names(config_class):
    """The names that a file of these settings may have."""
    top = {field.name: field.name for field, *_ in fields_of(config_class)}
    top |= other_names(config_class)
    sections: dict[str, dict[str, str]] = {}
    for field, *_ in fields_of(config_class):
        section, dot, name = (field.metadata["also"] or "").partition(".")
        if dot:
            sections.setdefault(section, {}).update({name: field.name, field.name: field.name})
    return _Names(top, sections)


def _of_yaml(name, value, field, kind, several):
    if value is None:
        return _of_null(name, field)
    if kind is bool:
        if not isinstance(value, bool):
            raise ValueError(f": {name} must be true or false, got {value!r}")
        return value
    if isinstance(value, list) and not several:
        raise ValueError(f": {name} must be {TYPES[kind]}, got a list")
    values = value if isinstance(value, list) else [value]
    if not values and field.default:
        raise ValueError(f": {name} must have one value or more, got none")
    try:
        found = [typed(one, field, kind) for one in values]
    except argparse.ArgumentTypeError as error:
        raise ValueError(f": {name} {error}") from error
    return tuple(found) if several else found[0]


def _of_null(name, field):
    """What `null`, or nothing behind the name, says."""
    if field.default is None:
        return None
    if "none" in (field.metadata["choices"] or ()):
        return "none"
    raise ValueError(f": {name} has no value. Leave it out for its default, {field.default!r}")


def as_yaml(config):
    """A file that sets each field to its value, with the text of its flag behind."""
    lines = []
    for field, *_ in fields_of(type(config)):
        value = getattr(config, field.name)
        value = list(value) if isinstance(value, tuple) else value
        text = yaml.safe_dump(value, default_flow_style=True, width=math.inf).splitlines()[0]
        lines.append(f"{field.name}: {text}  # {field.metadata['help']}\n")
    return "".join(lines)
