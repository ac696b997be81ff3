"""
Optuna prunes trainings
=======================

`Optuna <https://optuna.org>`_ proposes one setting after the other, and ends a training that falls
behind. A call of ``partial_fit`` trains an epoch, after which the pruner decides.
"""

# %%
import matplotlib.pyplot as plt
import optuna
from sklearn.model_selection import train_test_split

from fmcam.classifiers import LeNet5Classifier
from fmcam.datasets import make_fashion_shapes

shapes = make_fashion_shapes(600, random_state=0)
X_train, X_val, y_train, y_val = train_test_split(
    shapes.images, shapes.target, stratify=shapes.target, random_state=0
)


def accuracy_of(trial):
    """Accuracy of the rows held out after nine epochs; it is told after each."""
    clf = LeNet5Classifier(
        max_epochs=1,
        lr=trial.suggest_float("lr", 1e-4, 1e-1, log=True),
        batch_size=trial.suggest_categorical("batch_size", [16, 32, 64]),
        random_state=0,
        verbose=0,
    )
    for epoch in range(1, 10):
        accuracy = clf.partial_fit(X_train, y_train).score(X_val, y_val)
        trial.report(accuracy, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned
    return accuracy


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(
    direction="maximize",
    sampler=optuna.samplers.TPESampler(seed=0),
    pruner=optuna.pruners.SuccessiveHalvingPruner(),
)
study.optimize(accuracy_of, n_trials=12)
study.trials_dataframe(("state", "value", "params")).round(4)

# %%
# A line ends where the pruner ended the training. The rate stays as it is, since a schedule needs
# to know the length of a training: for halving under one cycle see
# :class:`fmcam.model_selection.HalvingGridSearchCV`.

_, ax = plt.subplots()
for trial in study.trials:
    best = trial.number == study.best_trial.number
    ax.plot(
        *zip(*sorted(trial.intermediate_values.items()), strict=True),
        marker=".",
        color="C1" if best else "0.7",
        label=f"best, lr={trial.params['lr']:.2g}" if best else None,
        zorder=2 + best,
    )
ax.set(xlabel="epoch", ylabel="accuracy of the rows held out")
ax.legend()
plt.show()

# %%
# The accuracies have chosen the settings, so they say too much. Train with the best ones, and
# measure on images that no trial has met.

test = make_fashion_shapes(1000, random_state=1)
final = LeNet5Classifier(max_epochs=9, random_state=0, verbose=0, **study.best_params)
print(f"{final.fit(shapes.images, shapes.target).score(test.images, test.target):.3f}")
