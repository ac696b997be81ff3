"""
A grid search that survives a kill
==================================

With `memory=` each finished fit is kept in a folder. A search that is killed goes on where it was
when it is started again.
"""

# %%
# The search runs in a process of its own, which is killed as soon as some of its 12 fits are done.

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fmcam.classifiers import SimpleCNNClassifier
from fmcam.datasets import make_fashion_shapes
from fmcam.model_selection import GridSearchCV
from fmcam.plot import SearchDisplay

folder = Path(tempfile.mkdtemp())
script = f"""
from fmcam.classifiers import SimpleCNNClassifier
from fmcam.datasets import make_fashion_shapes
from fmcam.model_selection import GridSearchCV

shapes = make_fashion_shapes(600, random_state=0)
clf = SimpleCNNClassifier(max_epochs=3, random_state=0, verbose=0)
grid = {{"lr": [1e-3, 3e-3], "batch_size": [32, 64]}}
GridSearchCV(clf, grid, cv=3, memory={str(folder)!r}).fit(shapes.images, shapes.target)
"""
search = subprocess.Popen([sys.executable, "-c", script])
while len(list(folder.rglob("*.json"))) < 5 and search.poll() is None:
    time.sleep(0.01)
search.kill()
search.wait()
kept = {file: file.stat().st_mtime_ns for file in folder.rglob("*.json")}
print(len(kept), "fits are kept")

# %%
# The same search again makes those that are missing. What was kept is as it was.

shapes = make_fashion_shapes(600, random_state=0)
clf = SimpleCNNClassifier(max_epochs=3, random_state=0, verbose=0)
grid = {"lr": [1e-3, 3e-3], "batch_size": [32, 64]}
search = GridSearchCV(clf, grid, cv=3, memory=folder).fit(shapes.images, shapes.target)
print(len(list(folder.rglob("*.json"))), "fits are there")
print(all(file.stat().st_mtime_ns == time for file, time in kept.items()))

# %%
SearchDisplay.from_estimator(search, x="lr", y="batch_size").plot()
