"""What `experiments.benchmark fit` does."""

import numpy as np
import pandas as pd
import torch
from skorch import NeuralNetClassifier
from torch import nn

from experiments.benchmark._timing import NearlyFree, in_turns, ratios
from fmcam.classifiers import CNNClassifier
from fmcam.cli._run import Run
from fmcam.models import LeNet5, SimpleCNN

OPTIMIZER = {"lr": 0.05, "momentum": 0.9}


def bare_loop(net_class, X, y, batch_size):
    """One epoch as one would write it by hand, images as uint8 in one tensor.

    Mean and standard deviation are summed up part by part, as the classifier does it: in one go
    over all images it would take five times as long.
    """
    torch.manual_seed(0)
    net = net_class().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), **OPTIMIZER)
    criterion = nn.CrossEntropyLoss()
    images, labels = torch.as_tensor(X), torch.as_tensor(y)
    sums = [
        (part.sum(), part.square().sum()) for part in map(torch.Tensor.double, images.split(1337))
    ]
    mean, square = torch.tensor(sums).sum(dim=0) / images.numel()
    std = (square - mean**2).sqrt()
    order = torch.randperm(len(y))
    net.train()
    for start in range(0, len(y), batch_size):
        rows = order[start : start + batch_size]
        optimizer.zero_grad()
        loss = criterion(net((images[rows].float() - mean) / std), labels[rows])
        loss.backward()
        optimizer.step()


def our_fit(net_class, X, y, batch_size):
    """The same through the classifier."""
    return CNNClassifier(
        net_class,
        optimizer=torch.optim.SGD,
        lr=OPTIMIZER["lr"],
        optimizer__momentum=OPTIMIZER["momentum"],
        max_epochs=1,
        batch_size=batch_size,
        random_state=0,
    ).fit(X, y)


def prediction_ways(n_images):
    """Prediction by the classifier and by plain skorch, each as it is by default."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, (n_images, 1, 28, 28), dtype=np.uint8)
    y = np.arange(100) % 10
    ours = CNNClassifier(NearlyFree, max_epochs=1).fit(X[:100], y)
    plain = NeuralNetClassifier(
        NearlyFree, criterion=nn.CrossEntropyLoss, max_epochs=1, train_split=None, verbose=0
    )
    floats = X.astype(np.float32)
    plain.fit(floats[:100], y)
    return {"fmcam": lambda: ours.predict_proba(X), "skorch": lambda: plain.predict_proba(floats)}


def main(config):
    """Time and write."""
    torch.set_num_threads(1)
    run = Run(config, "python -m experiments.benchmark fit")
    rng = np.random.default_rng(0)
    X = rng.integers(0, 255, (config.rows, 1, 28, 28), dtype=np.uint8)
    y = rng.integers(0, 10, config.rows)
    seconds, summary = {}, {}
    for net in (LeNet5, SimpleCNN):
        for size in (32, 128):
            case = f"fit {net.__name__} batch {size}"
            print(case, flush=True)
            arguments = (net, X, y, size)
            ways = {
                "fmcam": lambda a=arguments: our_fit(*a),
                "bare loop": lambda a=arguments: bare_loop(*a),
            }
            seconds[case] = in_turns(ways, config.repeats)
    case = "predict_proba, nearly free net"
    print(case, flush=True)
    seconds[case] = in_turns(prediction_ways(config.predicted), config.repeats)
    for case, frame in seconds.items():
        summary[case] = ratios(frame, "fmcam")
    run.write_table("rows.csv", pd.concat(seconds, names=["case", "turn"]))
    table = pd.concat(summary, names=["case"]).droplevel(1)
    run.write_table("summary.csv", table)
    print(table.round(3).to_string())
    run.finish()
