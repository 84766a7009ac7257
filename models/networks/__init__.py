"""The networks, one file per family; importing this package registers them all.

A new network is a decorated function in one of these files, imported below by name.
"""

from __future__ import annotations

from .alexnet import alexnet, alexnet_torchvision
from .bn_inception import bn_inception
from .densenet import densenet121, densenet169, densenet201
from .googlenet import googlenet
from .googlenet_torchvision import googlenet_torchvision
from .inception_resnet import inception_resnet_v1, inception_resnet_v2
from .inception_v3 import inception_v3
from .inception_v4 import inception_v4
from .lenet import lenet5, lenet5_1998
from .maxout import maxout_cifar, maxout_conv, maxout_mlp
from .mobilenet import mobilenet
from .perceptrons import mlp, mlp1986, perceptron, playground, rosenblatt
from .registry import build, names, register
from .resnet import resnet18, resnet34, resnet50, resnet101, resnet152
from .resnet_cifar import (
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
    resnet164_preact,
    resnet1001_preact,
    resnet1202,
)
from .svm import linear_svm, svm
from .vgg import vgg11, vgg13, vgg16, vgg19
from .zfnet import zfnet
from .zip_code_net import lecun1989

__all__ = ["build", "names", "register", *names()]
