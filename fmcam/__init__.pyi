from . import classifiers as classifiers
from . import datasets as datasets
from . import explain as explain
from . import localize as localize
from . import metrics as metrics
from . import model_selection as model_selection
from . import models as models
from . import plot as plot
from . import report as report

__version__: str
