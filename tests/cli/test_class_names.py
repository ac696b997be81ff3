"""One label space: what classes are called on the command line, in files and in data sets."""

from pathlib import Path

import pytest

from fmcam.classifiers import CNNClassifier
from fmcam.cli._class_names import (
    classes_of_labels,
    names_of_outputs,
    names_of_truth,
    read_class_names,
    unknown_labels,
)
from fmcam.models import LeNet5, get_preprocessing

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


@pytest.mark.parametrize(
    "lines",
    [
        ["0, tench", "1, goldfish, koi", "2, shark"],
        ["0: tench", "1: goldfish, koi", "2: shark"],
        ["0:tench", "1:goldfish, koi", "2:shark"],
        ["0\ttench", "1\tgoldfish, koi", "2\tshark"],
        ["1. tench", "2. goldfish, koi", "3. shark"],
        ["1) tench", "2) goldfish, koi", "3) shark"],
        ["000 - tench", "001 - goldfish, koi", "002 - shark"],
        ["2; shark", "0; tench", "1; goldfish, koi"],
        ["goldfish, koi, 2", "tench, 1", "shark, 3"],
        ["n01440764 tench", "n01443537 goldfish, koi", "n01484850 shark"],
        ["n01440764,tench", "n01443537,goldfish, koi", "n01484850,shark"],
        ["0,n01440764,tench", "1,n01443537,goldfish, koi", "2,n01484850,shark"],
    ],
)
def test_numbers_of_lines_are_no_names(tmp_path, lines):
    file = tmp_path / "names.txt"
    file.write_text("\n".join(lines))
    assert read_class_names((str(file),)) == ["tench", "goldfish, koi", "shark"]


@pytest.mark.parametrize("line", ["{}, {}", "{}: {}", "{}\t{}", "{}. {}", "{} - {}"])
def test_names_that_begin_with_numbers_have_those_of_their_lines_beside(tmp_path, line):
    names = ["2CV", "3 series", "cat"]
    file = tmp_path / "names.txt"
    file.write_text("\n".join(line.format(*one) for one in enumerate(names)))
    assert read_class_names((str(file),)) == names


@pytest.mark.parametrize(
    "lines",
    [
        ["0", "1", "2"],
        ["0,5 l", "1,5 l"],
        ["1 series", "2 series"],
        ["grade 0", "grade 1"],
        ["0.5 mm", "1.0 mm"],
        ["5 euros", "10 euros"],
        ["Boeing, 737", "Boeing, 747"],
        ["7 up", "cola"],
        ["1:10", "2:10"],
        ["n01440764", "n01443537"],
    ],
)
def test_numbers_in_names_are_kept(tmp_path, lines):
    file = tmp_path / "names.txt"
    file.write_text("\n".join(lines))
    assert read_class_names((str(file),)) == lines


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0, tench", "2, shark"], r"numbers in .* must be 0 to 1, or 1 to 2, each once"),
        (["0, tench", "0, shark"], r"numbers in .* must be 0 to 1, or 1 to 2, each once"),
        (["0 tench", "1 shark"], "begin with numbers in order, such as '0 tench'. Leave them out"),
        (["0 2CV", "1 3 series"], "begin with numbers in order, such as '0 2CV'. Leave them out"),
        (["1 001.Auk", "2 002.Tern"], "begin with numbers in order, such as '1 001.Auk'"),
        (["0 | tench", "1 | shark"], "begin with numbers in order, such as '0 | tench'"),
        (["n02119789 1 kit_fox", "n02100735 2 setter"], "begin with numbers .* as '1 kit_fox'"),
        (["/a/airfield 0", "/a/abbey 1"], "end with numbers in order, such as '/a/airfield 0'"),
        (["id,name", "0,tench", "1,shark"], "'id,name' in .* has no number, as all others have"),
        (['{"0": ["n01440764", "tench"],', '"1": []}'], "must have a name on each line, got"),
        (["['tench',", "'shark']"], "must have a name on each line, got"),
    ],
)
def test_lists_that_may_mean_two_things_are_refused(tmp_path, lines, message):
    file = tmp_path / "names.txt"
    file.write_text("\n".join(lines))
    with pytest.raises(SystemExit, match=f"^--class-names: .*{message}"):
        read_class_names((str(file),))


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


ANIMALS = ["Cardigan", "cardigan", "tiger cat", "tabby, tabby cat", "goldfish"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["Cardigan", "cardigan"], [0, 1]),
        (["CARDIGAN"], [None]),
        (["Tiger_Cat", "tiger-cat", "tiger cat "], [2, 2, 2]),
        (["tabby", "Tabby", "tabby,cat"], [3, 3, 3]),
        (["goldfish, Carassius auratus"], [4]),
        (["tabby cat"], [None]),
        (["cat"], [None]),
        (["0", "04"], [0, 4]),
        (["1", "5"], [None, None]),  # counted from 1
        (["1", "goldfish"], [None, 4]),
        (["-1"], [None]),
        ([""], [None]),
    ],
)
def test_labels_that_mean_classes(labels, expected):
    assert classes_of_labels(labels, ANIMALS) == dict(zip(labels, expected, strict=True))


def test_signs_tell_classes_apart():
    """Accents may be written in two ways, as on a Mac; in Hindi they are vowels."""
    names = ["covid-", "c", "+", "\u00e9", "\u0915\u093e"]
    labels = ["covid+", "C++", "-", "E\u0301", "\u0915\u0940"]
    assert list(classes_of_labels(labels, names).values()) == [None, None, None, 3, None]


def test_numbers_that_are_names_are_not_counted():
    assert classes_of_labels(["7", "3"], ["3", "5", "7"]) == {"7": 2, "3": 0}
    assert classes_of_labels(["1", "3"], ["3", "5", "7"]) == {"1": None, "3": 0}


def test_labels_of_imagenet():
    """By WordNet's IDs, and by the synonyms of WordNet, of which two are called crane."""
    info = Path(pytest.importorskip("timm").__file__).parent / "data" / "_info"
    ids = (info / "imagenet_synsets.txt").read_text().split()
    names = get_preprocessing("torchvision/resnet18").class_names
    assert classes_of_labels(reversed(ids), names) == {one: n for n, one in enumerate(ids)}
    lines = (info / "imagenet_synset_to_lemma.txt").read_text().splitlines()
    synonyms = dict(line.split("\t") for line in lines)
    found = classes_of_labels([synonyms[one] for one in ids], names)
    wrong = {ids.index(one): found[synonyms[one]] for one in ids}
    assert {n: place for n, place in wrong.items() if place != n} == {134: 517}
    assert classes_of_labels(ids[:2], names[::-1]) == dict.fromkeys(ids[:2])


def test_what_is_said_about_labels_that_are_no_classes():
    assert unknown_labels({"goldfish": 4}, ANIMALS) == ""
    found = {"goldfish": 4, "goldfisch": None, "a": None, "b": None, "c": None}
    assert unknown_labels(found, ANIMALS) == (
        "4 of 5 labels are none of the 5 classes of the network: 'goldfisch' (perhaps "
        "'goldfish'), 'a', 'b', 1 more."
    )
