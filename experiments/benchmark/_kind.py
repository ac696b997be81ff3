"""What a kind of file that may be damaged is made by, and read by."""

from abc import ABC, abstractmethod

__all__ = ["Kind"]


class Kind(ABC):
    """Files of one kind in a folder, and what reads them.

    Attributes
    ----------
    steady : bool
        Whether damage must change nothing: the work that is not there is done again.
    """

    steady = False

    @abstractmethod
    def make(self, folder):
        """Write whole files."""

    @abstractmethod
    def read(self, folder):
        """What is made of them."""
