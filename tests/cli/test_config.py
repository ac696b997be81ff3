"""Settings: one dataclass is flags, a YAML file and what --print-config prints."""

import dataclasses
from pathlib import Path

import pytest

from fmcam.cli._config import option, parse
from fmcam.cli.explain import Config as ExplainConfig
from fmcam.cli.finetune import Config as FinetuneConfig
from fmcam.cli.grid_search import Config as GridSearchConfig
from fmcam.cli.train import Config as TrainConfig

ROOT = Path(__file__).parent.parent.parent


@dataclasses.dataclass(frozen=True)
class Settings:
    lr: tuple[float, ...] = option((0.1,), "rates", also="training.learning_rate")
    batch_size: int | None = option(None, "size", also="training.batch_size")
    dataset: str = option("shapes", "images", ("shapes", "fashion-mnist"), also="dataset.name")
    scheduler: str = option("one-cycle", "schedule", {"one-cycle": ("OneCycleLR",), "none": ()})
    resume: bool = option(False, "go on")
    out: str = option("runs/x", "folder", also="output_dir")


def settings_of(*arguments):
    return parse(Settings, list(arguments), prog="x", description="d")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--batch_size", "8", "--out", "x", "--scheduler", "none"],
        ["--batch-size=8", "--output_dir=x", "--scheduler=None"],
        ["--batch_size=8", "--output-dir", "x", "--scheduler", "NONE"],
    ],
)
def test_underscores_of_flags_and_their_other_names(arguments):
    assert settings_of(*arguments) == Settings(batch_size=8, out="x", scheduler="none")
    assert settings_of("--learning_rate", "0.2", "--scheduler", "one_cycle_lr") == Settings((0.2,))


def test_defaults_and_flags():
    assert settings_of() == Settings()
    given = settings_of("--lr", "0.1", "0.2", "--batch-size", "8", "--resume")
    assert given == Settings(lr=(0.1, 0.2), batch_size=8, resume=True)


def test_a_yaml_file_is_the_same_as_flags_and_flags_win(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("lr: [0.1, 0.2]\nbatch_size: 8\nresume: true\n")
    assert settings_of("--config", str(file)) == Settings((0.1, 0.2), 8, resume=True)
    given = settings_of("--config", str(file), "--batch-size", "4", "--no-resume")
    assert given == Settings((0.1, 0.2), 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("batch_size: null", Settings()), ("scheduler: null", Settings(scheduler="none"))],
)
def test_no_value_in_a_file_is_the_default_only_where_that_is_none(tmp_path, text, expected):
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    assert settings_of("--config", str(file)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "training: {learning_rate: [0.1, 0.2], batch_size: 8}\ndataset: {name: fashion-mnist}",
        "training: {lr: [0.1, 0.2]}\nbatch_size: 8\ndataset: fashion-mnist",
        "batch_size: 8\nlearning_rate: [0.1, 0.2]\ndataset: FashionMNIST",
        "Dataset: {Name: Fashion_MNIST}\nTRAINING: {Learning-Rate: [0.1, 0.2], BATCH_SIZE: 8}",
    ],
)
def test_sections_of_a_yaml_file(tmp_path, text):
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    expected = Settings((0.1, 0.2), 8, "fashion-mnist")
    assert settings_of("--config", str(file)) == expected
    given = settings_of("--config", str(file), "--lr", "0.3")
    assert given == dataclasses.replace(expected, lr=(0.3,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "trainng: {lr: 1}",
            "settings.yaml has an unknown setting 'trainng'. Did you mean 'training'",
        ),
        ("training: 3", "settings.yaml: training must hold `name: value` lines, got 3"),
        ("training: {leraning_rate: 1}", "training has an unknown setting 'leraning_rate'. Did"),
        ("training: {xyz: 1}", "setting 'xyz'. Known are learning_rate, lr, batch_size"),
        ("training: {name: 1}", "training has an unknown setting 'name'. It belongs to dataset."),
        ("dataset: {lr: 1}", "dataset has an unknown setting 'lr'. It belongs to training."),
        ("dataset: {out: x}", "an unknown setting 'out'. It stands outside of sections."),
        (
            "trainng: {lr: 1}\nbatchsize: 8\nxyz: [1]\ntraining: {learing_rate: 1, 3: 4}",
            "settings.yaml has 5 unknown settings: 'trainng' (Did you mean 'training'?), "
            "'batchsize' (Did you mean 'batch_size'?), 'xyz', "
            "training: 'learing_rate' (Did you mean 'learning_rate'?), training: '3'",
        ),
        ("dataset: {nam: shapes}", "dataset has an unknown setting 'nam'. Did you mean 'name'?"),
        ("lr: [", "settings.yaml, line 1: expected the node content"),
        ("batchsize: 8", "unknown setting 'batchsize'. Did you mean 'batch_size'?"),
        ("dataset: mnist", "settings.yaml: dataset cannot be 'mnist'. Known are shapes,"),
        ("batch_size: many", "settings.yaml: batch_size must be a whole number, got 'many'"),
        ("batch_size: 1.5", "batch_size must be a whole number, got 1.5"),
        ("batch_size: true", "batch_size must be a whole number, got True"),
        ("batch_size: [8]", "batch_size must be a whole number, got a list"),
        ("batch_size: {a: 1}", "batch_size must be a whole number, got {'a': 1}"),
        ("lr: [0.1, .nan]", "lr must be a finite number, got nan"),
        ("lr: -.inf", "lr must be a finite number, got -inf"),
        ("lr: [[0.1]]", "lr must be a finite number, got [0.1]"),
        ("lr: [null]", "lr must be a finite number, got None"),
        ("lr: []", "lr must have one value or more, got none"),
        ("lr:", "lr has no value. Leave it out for its default, (0.1,)"),
        ("resume: 1", "resume must be true or false, got 1"),
        ("resume: 'true'", "resume must be true or false, got 'true'"),
        ("lr: 1\nbatch_size: 8\nlr: 2", "settings.yaml, line 3: lr is set a second time"),
        ("lr: 1\ntraining: {learning_rate: 2}", "settings.yaml: training sets lr a second time"),
        ("lr: 1\nLR: 2", "settings.yaml sets lr a second time"),
        ("lr: &rate [1]\ntraining: *rate", "settings.yaml, line 2: aliases (*) are not read"),
        ("lr: !!python/object:os.system x", "line 1: could not determine a constructor"),
        ("? [lr]\n: 1", "line 1: found unhashable key"),
        ("lr: 1\n---\nlr: 2", "line 2: but found another document"),
        ("lr: 2020-99-99", "cannot be read as YAML: month must be in 1..12"),
        ("lr: \x00", "cannot be read as YAML: unacceptable character"),
        ("lr: " + "[" * 5000, "cannot be read as YAML: maximum recursion depth"),
        ("- 3", "must hold `name: value` lines"),
    ],
)
def test_mistakes_in_a_yaml_file(tmp_path, capsys, text, message):
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(SystemExit):
        settings_of("--config", str(file))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"x: error: --config: {file}")
    assert message in line


def test_a_file_of_few_aliases_that_stand_for_gigabytes(tmp_path, capsys):
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    file = tmp_path / "bomb.yaml"
    file.write_text("\n".join(["a0: &a0 [x]", *levels, "lr: *a9"]))
    with pytest.raises(SystemExit):
        settings_of("--config", str(file))
    assert "bomb.yaml, line 2: aliases (*) are not read" in capsys.readouterr().err


def test_a_file_of_other_bytes(tmp_path, capsys):
    file = tmp_path / "settings.yaml"
    file.write_bytes(b"lr: 1 # \xff")
    with pytest.raises(SystemExit):
        settings_of("--config", str(file))
    assert "cannot be read as YAML: 'utf-8' codec" in capsys.readouterr().err


def test_a_missing_yaml_file(capsys):
    with pytest.raises(SystemExit):
        settings_of("--config", "nowhere.yaml")
    assert "--config: nowhere.yaml is no file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch-sise", "8"], "there is no option --batch-sise. Did you mean --batch-size?"),
        (["--batch-sise=8"], "there is no option --batch-sise. Did you mean --batch-size?"),
        (["--batch", "8"], "there is no option --batch. Did you mean --batch-size?"),
        (
            ["--learning-rte", "8"],
            "there is no option --learning-rte. Did you mean --learning-rate?",
        ),
        (["--zzz"], "there is no option --zzz. See x --help."),
        (["8"], "got 8, which no option takes. See x --help."),
        (["--batch-size", "8.5"], "--batch-size: must be a whole number, got '8.5'"),
        (["--batch-size"], "--batch-size: expected one argument"),
        (["--lr", "0.1", "nan"], "--lr: must be a finite number, got 'nan'"),
        (["--lr", "inf"], "--lr: must be a finite number, got 'inf'"),
        (["--dataset", "fashion"], "--dataset: cannot be 'fashion'. Did you mean 'fashion-mnist'?"),
    ],
)
def test_mistakes_in_flags_are_one_line(capsys, arguments, message):
    with pytest.raises(SystemExit, match="2"):
        settings_of(*arguments)
    assert capsys.readouterr().err == f"x: error: {message}\n"


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (Settings, ["--lr", "1e-5", "2", "--dataset", "fashion-mnist", "--resume"]),
        (TrainConfig, ["--weights", "true", "--seeds", "3", "4", "--input-shape", "1", "28", "28"]),
        (GridSearchConfig, ["--scheduler", "tcp://host:8786"]),
        (FinetuneConfig, ["--folder", "my photos: 'é' # 1"]),
        (ExplainConfig, ["a.jpg", "1.5", "--method", "cam", "grad-cam++", "--threshold", "1"]),
    ],
)
def test_what_is_printed_is_read_as_the_same(tmp_path, capsys, kind, arguments):
    given = parse(kind, arguments, prog="x", description="d")
    with pytest.raises(SystemExit, match="0"):
        parse(kind, [*arguments, "--print-config"], prog="x", description="d")
    file = tmp_path / "settings.yaml"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    assert parse(kind, ["--config", str(file)], prog="x", description="d") == given


def test_what_is_printed_says_what_each_setting_is(capsys):
    with pytest.raises(SystemExit, match="0"):
        settings_of("--lr", "0.1", "0.2", "--print-config")
    assert capsys.readouterr().out == (
        "lr: [0.1, 0.2]  # rates\n"
        "batch_size: null  # size\n"
        "dataset: shapes  # images\n"
        "scheduler: one-cycle  # schedule\n"
        "resume: false  # go on\n"
        "out: runs/x  # folder\n"
    )
