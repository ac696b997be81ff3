"""Many classifiers of one shape trained at once, as one network with stacked weights."""

import copy
import itertools
import time

import torch
from sklearn.base import clone
from skorch.callbacks import EarlyStopping, GradientNormClipping
from skorch.dataset import Dataset
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.utils.data import Subset

from fmcam._data.batches import ArrayBatches
from fmcam._data.images import as_image_array
from fmcam._ensemble.member import initialized_parts
from fmcam._ensemble.updates import Layout, clip_by_norm, updates_of
from fmcam._interrupts import stopped_early
from fmcam.classifiers import OneCycle

__all__ = ["Ensemble"]


class Ensemble:
    """Classifiers trained at once; each ends as ``fit`` on its own rows would leave it.

    Weights, running statistics and the optimizer's memory are stacked, and one step moves all of
    them: ``torch.func.vmap`` of the gradient of one network, then the optimizers' formulas. The
    step is compiled where the classifiers are to be compiled. Each classifier draws its first
    weights, batches and augmentation from its own `random_state`; those with the same seed and the
    same rows share their batches. The images lie on the device once, in their own data type. A
    `train_split` holds out the rows that it would in ``fit``.

    Parameters
    ----------
    clfs : list of CNNClassifier
        Not fitted; :meth:`train` fits them. They differ in `lr`, `optimizer__weight_decay` and
        `random_state` alone, and `why_not_together` has nothing to say about them.
    X, y
        As for ``CNNClassifier.fit``.
    rows : list of ndarray of int
        The rows of `X` that each classifier is trained on; where they are equal, the same array.
        All hold equally many rows, so that the batches are equally many and equally large, and
        equally many classes.
    """

    def __init__(self, clfs, X, y, rows):
        self.clfs = clfs
        images = as_image_array(clone(clfs[0]), X, reset=True)
        whole = ArrayBatches(Dataset(images), clfs[0].device, batch_size=-1)
        self.images = whole.images.contiguous()
        parts = [
            initialized_parts(clf, self.images, X, y, own)
            for clf, own in zip(clfs, rows, strict=True)
        ]
        self._share(parts)
        self._standardize()
        self.net = copy.deepcopy(clfs[0].module_).train()
        self._gather()
        optimizers = [clf.optimizer_ for clf in clfs]
        self.update = updates_of(optimizers, self.layout)
        self.memory = self.update.memory(self.weights)
        self.gradients = vmap(grad_and_value(self._loss, has_aux=True))
        self._take = clfs[0].torch_compile(self._moved, name="ensemble")
        callbacks = {type(callback): callback for _, callback in clfs[0].callbacks_}
        self.cycle = callbacks.get(OneCycle)
        self.clipping = callbacks.get(GradientNormClipping)
        self.peaks = [
            clf.lr if self.cycle else optimizer.param_groups[0]["lr"]
            for clf, optimizer in zip(clfs, optimizers, strict=True)
        ]
        self.rates = self.layout.spread(self.weights.new_tensor(self.peaks))

    def _share(self, parts):
        """Keep one stream of batches, and the rows held out, for each seed and set of rows."""
        keys = [
            (_key(drawn), drawn.generator.initial_seed() if drawn.generator else id(drawn))
            for drawn, _ in parts
        ]
        owners = dict(zip(keys, zip(self.clfs, parts, strict=True), strict=True))
        self.augments = [clf.augment for clf, _ in owners.values()]
        self.streams = [drawn for _, (drawn, _) in owners.values()]
        self.held_out = [held_out for _, (_, held_out) in owners.values()]
        numbers = {key: number for number, key in enumerate(owners)}
        self.stream_of = [numbers[key] for key in keys]
        self.copies = torch.tensor(self.stream_of, device=self.images.device)

    def _standardize(self):
        """Learn mean and standard deviation of the images once for each set of training rows."""
        learned = {}
        for clf, number in zip(self.clfs, self.stream_of, strict=True):
            drawn, standardize = self.streams[number], clf.module_.standardize
            if _key(drawn) not in learned:
                batches = clf.image_batches(Subset(Dataset(self.images), drawn.rows))
                standardize.learn(images for images, _ in batches)
                learned[_key(drawn)] = standardize.state_dict()
            standardize.load_state_dict(learned[_key(drawn)])

    def _gather(self):
        """Stack the weights and buffers of the classifiers' networks."""
        weights, self.buffers = stack_module_state([clf.module_.train() for clf in self.clfs])
        self.layout = Layout(weights)
        self.weights = self.layout.joined(weights).detach()

    def _logits(self, weights, buffers, images):
        return functional_call(self.net, (weights, buffers), (images,))

    def _loss(self, weights, buffers, images, class_indices):
        logits = self._logits(weights, buffers, images)
        return self.clfs[0].criterion_(logits, class_indices), logits

    def train(self):
        """Train for `max_epochs` or until all have stopped early; the classifiers are fitted then.

        What has stopped is carried along, to no effect, until the last one stops.
        """
        self.running = list(range(len(self.clfs)))
        for clf, stopper in self._stoppers():
            stopper.on_train_begin(clf)
        for epoch in range(self.clfs[0].max_epochs):
            self._train_epoch(epoch)
            self._validate()
            self._hand_over()
            stopped = [clf for clf, stopper in self._stoppers() if _stops(stopper, clf)]
            self.running = [place for place in self.running if self.clfs[place] not in stopped]
            if not self.running:
                break
        self.running = list(range(len(self.clfs)))
        for clf, stopper in self._stoppers():
            stopper.on_train_end(clf)
        self._gather()
        for clf in self.clfs:
            clf.module_.eval()

    def _stoppers(self):
        """Yield the classifiers that go on and may stop early, and what stops each."""
        for place in self.running:
            for _, callback in self.clfs[place].callbacks_:
                if isinstance(callback, EarlyStopping):
                    yield self.clfs[place], callback

    def _hand_over(self):
        """Give the classifiers that go on their weights and running statistics."""
        stacked = {**self.layout.split(self.weights), **self.buffers}
        for place in self.running:
            module = self.clfs[place].module_
            with torch.no_grad():
                for name, tensor in itertools.chain(
                    module.named_parameters(), module.named_buffers()
                ):
                    tensor.copy_(stacked[name][place])

    def _train_epoch(self, epoch):
        start, sums, n_rows, factor = time.time(), [], 0, 1.0
        for number, drawn in enumerate(zip(*self.streams, strict=True)):
            if self.cycle is not None:
                epochs = epoch + number / len(self.streams[0])
                factor = self.cycle.factor(epochs / self.clfs[0].max_epochs)
            images, class_indices = self._batches(drawn)
            losses, accuracies = self._step(images, class_indices, factor * self.rates)
            size = class_indices.shape[1]
            sums.append(size * torch.stack([losses, accuracies], dim=1))
            n_rows += size
        means = torch.stack(sums).sum(dim=0) / n_rows
        self._note(means.tolist(), time.time() - start, factor)

    def _batches(self, drawn):
        """Images (k, b, c, h, w) and class indices (k, b) of the k networks, from the streams.

        They are augmented as in ``fit``, each stream by the generator that shuffled it.
        """
        drawn = [
            (images if augment is None else augment(images, stream.generator), class_indices)
            for (images, class_indices), augment, stream in zip(
                drawn, self.augments, self.streams, strict=True
            )
        ]
        images, class_indices = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        return images[self.copies], class_indices[self.copies]

    def _step(self, images, class_indices, rates):
        """Move the weights; the loss and the accuracy of each network, tensors of shape (k,)."""
        inputs = (self.weights, self.memory, self.buffers, images, class_indices, rates)
        self.weights, self.memory, losses, accuracies = self._take(*inputs)
        return losses, accuracies

    def _moved(self, weights, memory, buffers, images, class_indices, rates):
        """Weights and memory after a step, losses and accuracies; statistics move in place."""
        stacked = self.layout.split(weights)
        gradients, (losses, logits) = self.gradients(stacked, buffers, images, class_indices)
        if self.clipping is not None and self.clipping.gradient_clip_value is not None:
            limit, order = self.clipping.gradient_clip_value, self.clipping.gradient_clip_norm_type
            gradients = clip_by_norm(gradients, limit, order)
        weights, memory = self.update(weights, self.layout.joined(gradients), memory, rates)
        accuracies = (logits.argmax(dim=-1) == class_indices).to(losses.dtype).mean(dim=1)
        return weights, memory, losses, accuracies

    def _note(self, means, seconds, factor):
        """Write an epoch into the history of the classifiers that go on, each with its share."""
        for place in self.running:
            clf, (loss, accuracy) = self.clfs[place], means[place]
            clf.on_epoch_begin(clf)
            row = {"train_loss": loss, "train_acc": accuracy, "dur": seconds / len(self.running)}
            if self.cycle is not None:
                row["lr"] = factor * self.peaks[place]
            clf.warn_of_divergence(loss)
            for name, value in row.items():
                clf.history.record(name, value)

    @torch.no_grad()
    def _validate(self):
        """Record loss and accuracy on the rows held out, averaged over batches as in skorch."""
        self.net.eval()
        noted, found = [], []
        for number, held_out in enumerate(self.held_out):
            places = [place for place in self.running if self.stream_of[place] == number]
            if held_out is None or not places:
                continue
            size, class_indices = held_out.batch_size, held_out.labels[held_out.rows]
            for place, logits in zip(places, self._logits_of(places, held_out.rows), strict=True):
                clf = self.clfs[place]
                parts = zip(logits.split(size), class_indices.split(size), strict=True)
                losses = [len(part) * clf.criterion_(of_part, part) for of_part, part in parts]
                right = (logits.argmax(dim=1) == class_indices).to(logits.dtype)
                noted.append(clf)
                found.append(torch.stack([sum(losses) / len(class_indices), right.mean()]))
        if noted:
            for clf, (loss, accuracy) in zip(noted, torch.stack(found).tolist(), strict=True):
                clf.history.record("valid_loss", loss)
                clf.history.record("valid_acc", accuracy)
        self.net.train()

    @torch.no_grad()
    def predict_proba(self, rows):
        """Probabilities of the classes of some rows of `X`, by all classifiers of the ensemble.

        Batches are as large as in training, so they fit in memory where those did.

        Parameters
        ----------
        rows : list of ndarray of int
            The rows for each classifier; those with the same array are run together.

        Returns
        -------
        list of ndarray of shape (n, k), float32
        """
        self.net.eval()
        probabilities = {}
        for own in {id(own): own for own in rows}.values():
            places = [place for place, other in enumerate(rows) if other is own]
            logits = self._logits_of(places, own)
            for place, of_one in zip(places, logits, strict=True):
                nonlinear = self.clfs[place]._get_predict_nonlinearity()
                probabilities[place] = nonlinear(of_one).cpu().numpy()
        self.net.train()
        return [probabilities[place] for place in range(len(rows))]

    def _logits_of(self, places, rows):
        """Logits of some rows of `X` by the networks in some places, tensor of shape (p, n, k)."""
        weights, buffers = (
            {name: tensor[places] for name, tensor in stacked.items()}
            for stacked in (self.layout.split(self.weights), self.buffers)
        )
        run = vmap(self._logits, in_dims=(0, 0, None))
        subset = Subset(Dataset(self.images), rows)
        batches = ArrayBatches(subset, self.images.device, batch_size=self.clfs[0].batch_size)
        return torch.cat([run(weights, buffers, images) for images, _ in batches], dim=1)


def _key(batches):
    return batches.rows.numpy().tobytes()


def _stops(stopper, clf):
    try:
        stopper.on_epoch_end(clf)
    except KeyboardInterrupt as interrupt:
        if not stopped_early(interrupt):
            raise
        return True
    return False
