"""A YAML file of `name: value` lines, which says each of them once and has no aliases."""

from pathlib import Path

import yaml

__all__ = ["mapping_of", "read_yaml"]


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


def read_yaml(path):
    """The lines `name: value` of a file.

    Parameters
    ----------
    path : str

    Returns
    -------
    dict
        As YAML has them.

    Raises
    ------
    ValueError
        If there is no such file, or it holds something else. The message goes on after the path.
    """
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
    return mapping_of({} if content is None else content, "")


def mapping_of(content, place):
    """The content, if it is a mapping; else raise ValueError, with its place in front."""
    if not isinstance(content, dict):
        raise ValueError(f"{place} must hold `name: value` lines, got {content!r}")
    return content
