"""Settings in a YAML file, which says each of them once and holds nothing else."""

from pathlib import Path

import yaml

from fmcam._suggest import suggest

__all__ = ["read_settings"]


def read_settings(path, fields, sections):
    """The value of each setting in a file, also in its sections.

    Parameters
    ----------
    path : str
    fields : sequence of str
        Names of the settings.
    sections : dict of str to dict of str to str
        The names in each section of a file, and the settings that they stand for.

    Returns
    -------
    dict of str to object
        As YAML has them, by the names of `fields`.

    Raises
    ------
    ValueError
        If the file cannot be read, names something unknown, or the same twice. The message goes on
        after the path.
    """
    found: dict[str, object] = {}
    known = {**{section: section for section in sections}, **{name: name for name in fields}}
    for name, value in _mapping(_load(path), "").items():
        if name in sections and (isinstance(value, dict) or name not in fields):
            for inner, inner_value in _mapping(value, f": {name}").items():
                _add(found, inner, inner_value, sections[name], f": {name}")
        else:
            _add(found, name, value, known, "")
    return found


def _add(found, name, value, known, place):
    if name not in known:
        raise ValueError(f"{place} has an unknown setting {name!r}. {suggest(str(name), known)}")
    if known[name] in found:
        raise ValueError(f"{place} sets {known[name]} a second time")
    found[known[name]] = value


def _mapping(content, place):
    if not isinstance(content, dict):
        raise ValueError(f"{place} must hold `name: value` lines, got {content!r}")
    return content


class _Loader(yaml.SafeLoader):
    """YAML's safe part, without keys that are there twice, of which it would take the last."""

    def compose_node(self, parent, index):
        # A few lines of aliases of aliases are gigabytes; settings need none.
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="aliases (*) are not read", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        names = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if isinstance(name, str) and name in names:
                problem = f"{name} is set a second time"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            names.add(str(name))
        return super().construct_mapping(node, deep)


def _load(path):
    if not Path(path).is_file():
        raise ValueError(" is no file")
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except yaml.MarkedYAMLError as error:
        place = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{place}: {error.problem}") from error
    except (OSError, RecursionError, ValueError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f" cannot be read as YAML: {reason}") from error
    return {} if content is None else content
