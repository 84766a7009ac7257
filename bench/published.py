"""The runs of the results page: which recipe, whose network, and the test error that its authors published.

Errors are per cent of the test images. LeCun 1998 is "Gradient-based learning applied to document recognition", Proc.
IEEE 86(11), figure 9 and section III-C. Leans on nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """recipe: one that ships, or a file. year: of the network's paper. error: published per cent for these data, or
    None where there is no figure for this network on them. source: where it stands, or what it is of.
    """

    recipe: str
    title: str
    year: int
    error: float | None
    source: str

    @property
    def name(self) -> str:
        """What its files are called."""
        return Path(self.recipe).stem


RUNS = (
    Run("perceptron-mnist", "Perceptron, cross-entropy", 1958, 12.0, "LeCun 1998, linear classifier"),
    Run("rosenblatt-mnist", "Perceptron, Rosenblatt's rule", 1958, 12.0, "LeCun 1998, linear classifier"),
    Run("mlp1986-mnist", "Sigmoid layers, squared error", 1986, 4.7, "LeCun 1998, 300 hidden units"),
    Run("lecun1989-usps", "LeCun's zip-code network", 1989, 5.0, "LeCun et al. 1989, section 5.1; its zip codes"),
    Run("svm-mnist", "Linear SVMs, one against the rest", 1995, 12.0, "LeCun 1998, linear classifier"),
    Run("lenet5_1998-mnist", "LeNet-5 as published", 1998, 0.95, "LeCun 1998, section III-C"),
    Run("lenet5-mnist", "LeNet-5 as taught today", 1998, 0.95, "LeCun 1998, section III-C"),
    Run("lenet5-mnist-augmented", "LeNet-5, distorted digits", 1998, 0.8, "LeCun 1998, section III-C"),
    Run("mlp-mnist", "MLP of two hidden layers of relus", 2003, 1.6, "Simard et al. 2003, 800 hidden units"),
    Run("maxout_mlp-mnist", "Maxout, dense, dropout", 2013, 0.94, "Goodfellow et al. 2013, table 1"),
    Run("maxout_conv-mnist-short", "Maxout, convolutional, 12 epochs", 2013, 0.45, "Goodfellow et al. 2013, table 2"),
    Run("resnet20-mnist", "ResNet-20, distorted digits", 2016, None, ""),
    Run("lenet5-fashion-mnist", "LeNet-5 as taught today", 1998, None, ""),
    Run("maxout_conv-fashion-mnist", "Maxout, convolutional, dropout", 2013, None, ""),
    Run("resnet20-fashion-mnist", "ResNet-20", 2016, None, ""),
    Run("resnet20-cifar10-short", "ResNet-20, a fifth of the paper's epochs", 2016, 8.75, "He et al. 2016, table 6"),
)
"""In the order of the page: digits by the years, then clothing, then colour images."""
