"""The one pipeline that every network of the experiments goes through."""

import hashlib
import json
import time
from dataclasses import asdict, dataclass

import joblib
import torch
from skorch.callbacks import GradientNormClipping
from tqdm import tqdm

import fmcam
from fmcam.classifiers import (
    CNNCAMClassifier,
    FlipAndShift,
    LeNet5Classifier,
    OneCycle,
    ResNet18Classifier,
    SimpleCNNClassifier,
    load_classifier,
    measure_cost,
    save_classifier,
)
from fmcam.report import overall_frame

__all__ = ["BASELINE", "CLASSIFIERS", "DATASETS", "Fit", "make_classifier", "score", "train"]

CLASSIFIERS = {
    "simplecnn": SimpleCNNClassifier,
    "lenet5": LeNet5Classifier,
    "cnn-cam": CNNCAMClassifier,
    "resnet18": ResNet18Classifier,
}
DATASETS = ("fashion-mnist", "shapes")
BASELINE = {"lr": 0.01, "batch_size": 128, "weight_decay": 0.0}


def make_classifier(
    model,
    *,
    lr,
    batch_size,
    weight_decay,
    epochs,
    seed,
    precision="float32",
    shift=1,
    smoothing=0.05,
):
    """A classifier trained as all are: one-cycle SGD, shifted images, smoothed labels.

    Gradients are clipped, as without that a high rate now and then ends a training at chance.
    Garments are not mirrored: the shoes of Fashion-MNIST all point one way.
    """
    return CLASSIFIERS[model](
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        optimizer__nesterov=True,
        optimizer__weight_decay=weight_decay,
        lr=lr,
        batch_size=batch_size,
        max_epochs=epochs,
        criterion__label_smoothing=smoothing,
        augment=FlipAndShift(shift, flip=False),
        callbacks=[("one_cycle", OneCycle()), ("clip", GradientNormClipping(1.0))],
        precision=precision,
        random_state=seed,
    )


@dataclass(frozen=True)
class Fit:
    """One training: a name for tables, a data set, and the arguments of `make_classifier`."""

    name: str
    dataset: str
    model: str
    lr: float
    batch_size: int
    weight_decay: float
    epochs: int
    seed: int
    precision: str = "float32"

    def classifier(self):
        """The classifier, not yet fitted."""
        settings = asdict(self)
        del settings["name"], settings["dataset"]
        return make_classifier(settings.pop("model"), **settings)

    def file(self, folder):
        """Where its checkpoint is kept; other settings, data or versions, another file."""
        known = [asdict(self), fmcam.__version__, torch.__version__]
        digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:8]
        slug = self.name.lower().replace(" ", "-")
        return folder / f"{slug}-seed{self.seed}-{digest}.safetensors"


def train(fits, X, y, folder, jobs):
    """Fitted classifiers in the order of `fits`, those with a checkpoint in `folder` read from it.

    Each runs in a process of its own on one thread, so the number of jobs changes no result.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [fit for fit in fits if not fit.file(folder).exists()]
    tasks = (joblib.delayed(_fit_and_save)(fit, X, y, fit.file(folder)) for fit in missing)
    with joblib.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
        done = joblib.Parallel(return_as="generator_unordered", batch_size=1)(tasks)
        kept = len(fits) - len(missing)
        for _ in tqdm(done, initial=kept, total=len(fits), unit="fit", disable=None):
            pass
    return [load_classifier(fit.file(folder)) for fit in fits]


def _fit_and_save(fit, X, y, path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        start = time.perf_counter()
        clf = fit.classifier().fit(X, y)
        save_classifier(clf, path, metrics={"fit_time": time.perf_counter() - start})
    finally:
        torch.set_num_threads(threads)


def score(clf, X, y):
    """A row of numbers about a fitted classifier on test images, and its probabilities."""
    y_proba = clf.predict_proba(X)
    cost = measure_cost(clf, X)
    extra = {**cost, "fit_time": clf.checkpoint_["metrics"]["fit_time"]}
    return overall_frame(y, y_proba, clf.classes_, extra=extra), y_proba
