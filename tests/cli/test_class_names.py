"""One label space: what classes are called on the command line, in files and in data sets."""

import pytest

from fmcam.classifiers import CNNClassifier
from fmcam.cli._class_names import names_of_outputs, names_of_truth, read_class_names
from fmcam.models import LeNet5

NAMES = ["Rudo", "Baya", "Greg"]


def network(classes=None, names=None):
    clf = CNNClassifier.from_module(LeNet5(n_classes=3), classes)
    clf.checkpoint_ = {"class_names": names}
    return clf


def test_names_on_the_command_line(tmp_path):
    assert read_class_names(None) is None
    assert read_class_names(("Rudo", "Baya")) == ["Rudo", "Baya"]
    file = tmp_path / "names.txt"
    file.write_bytes("\ufefftench\r\ngreat white shark \r\n\n".encode())
    assert read_class_names((str(file),)) == ["tench", "great white shark"]
    file.write_text("crane\nlimpkin\ncrane\n")
    assert read_class_names((str(file),)) == ["crane (0)", "limpkin", "crane (2)"]
    (tmp_path / "gap.txt").write_text("a\n\nb\n")
    (tmp_path / "latin.txt").write_bytes(b"a\nAndr\xe9\n")
    for given, message in (
        (("a", "b", "a"), "'a' is there several times"),
        (("Rudo",), r"there is no file Rudo\. Give two names or more, or a file"),
        ((f"{tmp_path}/gap.txt",), r"two names or more, none of them empty, got \['a', '', 'b'\]"),
        ((f"{tmp_path}/latin.txt",), r"latin\.txt is no text in UTF-8"),
    ):
        with pytest.raises(SystemExit, match=f"^--class-names.*{message}"):
            read_class_names(given)


def test_names_come_from_the_checkpoint_or_a_data_set_with_those_labels():
    clf = network()
    assert names_of_outputs(clf, {}) == ["0", "1", "2"]
    assert names_of_outputs(clf, {0: "a", 1: "b", 2: "c"}) == ["a", "b", "c"]
    assert names_of_outputs(clf, {0: "a", 1: "b"}) == ["0", "1", "2"]
    assert names_of_outputs(network(names=NAMES), {0: "a", 1: "b", 2: "c"}) == NAMES


def test_names_that_are_given_count_more():
    assert names_of_outputs(network(), {}, NAMES) == NAMES
    assert names_of_outputs(network(names=["a", "b", "c"]), {}, NAMES) == NAMES
    assert names_of_outputs(network(names=sorted(NAMES)), {}, NAMES) == sorted(NAMES)
    upper = [name.upper() for name in NAMES]
    assert names_of_outputs(network(names=NAMES), {}, upper) == upper
    with pytest.raises(SystemExit, match=r"'RUDO' is 'Rudo' in the checkpoint, .* Write all"):
        names_of_outputs(network(names=sorted(NAMES)), {}, upper)
    message = r"^--class-names must name the 3 classes of the network, got 2\.$"
    with pytest.raises(SystemExit, match=message):
        names_of_outputs(network(names=NAMES), {}, NAMES[:2])


@pytest.mark.parametrize(
    ("clf", "given", "labels", "expected"),
    [
        (network(names=NAMES), None, ["0", "2"], ["Rudo", "Greg"]),
        (network(names=NAMES), None, ["Rudo", "Greg"], ["Rudo", "Greg"]),
        (network(names=NAMES), None, ["000", "002"], ["Rudo", "Greg"]),
        (network([4, 5, 7], NAMES), None, ["4", "7", "0"], ["4", "7", "0"]),
        (network(names=["2", "1", "cat"]), None, ["2", "0"], ["2", "2"]),
        (network(names=NAMES), None, ["1", "2", "3"], ["1", "2", "3"]),
        (network(names=NAMES), None, ["1", "2", "cat"], ["Baya", "Greg", "cat"]),
        (network(list("012"), NAMES), None, ["0", "2"], ["Rudo", "Greg"]),
        (network(), NAMES, ["0", "2"], ["Rudo", "Greg"]),
        (network(sorted(NAMES), sorted(NAMES)), NAMES, ["0", "2"], ["Rudo", "Greg"]),
        (network(sorted(NAMES), sorted(NAMES)), None, ["0", "Greg"], ["0", "Greg"]),
        (network(names=NAMES), None, ["3", "cat"], ["3", "cat"]),
    ],
)
def test_classes_of_a_data_set_as_the_network_calls_them(clf, given, labels, expected):
    known = dict(zip(labels, labels, strict=True))
    names = names_of_outputs(clf, known, given)
    assert names_of_truth(clf, known, names, given) == dict(zip(labels, expected, strict=True))


def test_numbers_with_names_of_their_own_go_by_these():
    labels = {0: "Baya", 1: "cat"}
    assert names_of_truth(network(names=NAMES), labels, NAMES) == {"Baya": "Baya", "cat": "cat"}
