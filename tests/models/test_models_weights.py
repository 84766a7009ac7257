"""Weights from elsewhere: PyTorch's files and safetensors, torchvision's names, and files that are refused."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

import kernelwright as kw
from kernelwright.models.evaluation import trained
from kernelwright.models.stored import torch_files
from kernelwright.runtime.checkpoint import CheckpointError

nn = kw.nn


def run(model, images):
    x = model.images()
    return kw.compile([x], [model(x)], device="reference")(images)


def dense():
    layer = nn.Sequential(nn.Dense(2), kw.relu, nn.Dense(3))
    layer(kw.input("x", (None, 4)))
    return layer


# ------------------------------------------------------------------ torchvision's names
def vgg11(networks):
    plan = [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]
    return networks.VGG(plan, 5, 1), "vgg11", 32


CASES = {
    "vgg11": vgg11,
    "resnet18": lambda networks: (networks.ResNet((2, 2, 2, 2), 5), "resnet18", 33),
    "resnet50": lambda networks: (networks.ResNet((3, 4, 6, 3), 5, wide=True), "resnet50", 33),
    "alexnet": lambda networks: (networks.AlexNet(5, 1), "alexnet_torchvision", 67),
    "googlenet": lambda networks: (networks.GoogLeNet(5), "googlenet_torchvision", 80),
    "inception_v3": lambda networks: (networks.InceptionV3(5), "inception_v3", 75),
}


SLOW = ("vgg11", "resnet50", "alexnet")


@pytest.mark.parametrize("case", [pytest.param(c, marks=[pytest.mark.slow] if c in SLOW else []) for c in CASES])
def test_torchvisions_names_give_its_logits(case, tmp_path):
    torch = pytest.importorskip("torch")
    import torch_named

    torch.manual_seed(0)
    theirs, name, size = CASES[case](torch_named)
    theirs = theirs.double()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2.0)
    torch.save(theirs.eval().state_dict(), tmp_path / "weights.pth")
    options = {"heads": False} if name == "inception_v3" else {}
    with kw.init.precision("float64"):
        ours = kw.models.build(name, classes=5, input_shape=(3, size, size), **options)
    assert kw.load_weights(ours, tmp_path / "weights.pth") == ([], [])
    images = np.random.default_rng(0).standard_normal((1, 3, size, size))
    with torch.no_grad():
        wanted = theirs(torch.tensor(images)).numpy()
    assert np.abs(run(ours, images) - wanted).max() < 1e-10 * np.abs(wanted).max()


def test_parameters_of_torchvisions_networks():
    """As its documentation counts them; of GoogLeNet's 13,004,888 are 6,379,984 in the two auxiliary classifiers."""
    with kw.init.undrawn():
        assert kw.models.alexnet_torchvision().size() == 61_100_840
        assert kw.models.googlenet_torchvision().size() == 13_004_888 - 6_379_984


@pytest.mark.parametrize("network", ["vgg13", "vgg16", "vgg19", "resnet34", "resnet101", "resnet152", "inception_v3"])
def test_every_layer_with_values_has_one_name_of_its_own(network):
    from kernelwright.models.networks.torchvision_names import paths

    with kw.init.undrawn():
        found = paths(kw.models.build(network))
    assert len(set(found.values())) == len(found) > 10


def test_what_does_not_fit_is_said_in_the_files_names(tmp_path):
    torch = pytest.importorskip("torch")
    model = kw.models.resnet18(classes=5, input_shape=(3, 32, 32))
    torch.save({"conv1.weight": torch.ones(64, 3, 7, 7), "fc.bias": torch.ones(9), "x": torch.ones(1)}, tmp_path / "w")
    before = model.state_dict()["0.weight"]
    with pytest.raises(CheckpointError) as error:
        kw.load_weights(model, tmp_path / "w")
    assert "missing: bn1.weight, bn1.bias, bn1.running_mean" in str(error.value)
    assert "unexpected: x\n  not fitting: fc.bias (shape (9,), here (5,))" in str(error.value)
    np.testing.assert_array_equal(model.state_dict()["0.weight"], before)
    assert kw.load_weights(model, tmp_path / "w", strict=False).unexpected_keys == ["fc.bias", "x"]
    assert (model.state_dict()["0.weight"] == 1).all()


def test_the_network_of_a_file_has_its_classes(tmp_path):
    torch = pytest.importorskip("torch")
    with kw.init.undrawn():
        usual = kw.models.lenet5(classes=3)
    values = {n: torch.rand(*v.shape) for n, v in zip(names(usual), usual.parameters(), strict=True)}
    torch.save(values, tmp_path / "w.pth")
    model = trained("lenet5", tmp_path / "w.pth")
    assert model.classes == 3
    np.testing.assert_array_equal(model.state_dict()["0.weight"], values["0.weight"].numpy())


def names(model):
    from kernelwright.models.named_state import names

    return names(model.net)


# ------------------------------------------------------------------ files
WEIGHTS = {
    "0.weight": np.arange(8.0).reshape(2, 4), "0.bias": np.ones(2), "2.weight": np.arange(6.0).reshape(3, 2),
    "2.bias": np.zeros(3),
}  # fmt: skip


@pytest.mark.parametrize("around", ["", "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_pytorchs_file_alone_and_in_a_checkpoint(around, prefix, tmp_path):
    torch = pytest.importorskip("torch")
    values = {prefix + name: torch.tensor(value) for name, value in WEIGHTS.items()}
    torch.save({around: values, "epoch": 3} if around else values, tmp_path / "w.pt")
    layer = dense()
    assert kw.load_weights(layer, tmp_path / "w.pt") == ([], [])
    assert all((layer.state_dict()[name] == value).all() for name, value in WEIGHTS.items())


def test_safetensors_of_others(tmp_path):
    from safetensors.numpy import save_file

    save_file(WEIGHTS, tmp_path / "w.safetensors")
    layer = dense()
    assert kw.load_weights(layer, tmp_path / "w.safetensors") == ([], [])
    assert all((layer.state_dict()[name] == value).all() for name, value in WEIGHTS.items())


def test_views_parameters_and_dtypes(tmp_path):
    torch = pytest.importorskip("torch")
    whole = torch.arange(12.0).reshape(3, 4)
    given = {
        "transposed": whole.T, "part": whole[1:, ::2], "parameter": torch.nn.Parameter(whole), "half": whole.half(),
        "bfloat16": whole.bfloat16(), "long": whole.long(), "flag": whole > 3, "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 3), "text": "a", "size": torch.Size((1, 2)), "list": [1, 2.5, None],
    }  # fmt: skip
    torch.save(given, tmp_path / "w.pt")
    found = torch_files.load(tmp_path / "w.pt")
    assert list(found) == list(given)
    for name in list(given)[:9]:
        wanted = given[name].detach()
        np.testing.assert_array_equal(found[name], wanted.float().numpy() if name == "bfloat16" else wanted.numpy())
    assert (found["text"], found["size"], found["list"]) == ("a", (1, 2), [1, 2.5, None])


class Evil:
    """What a pickle would call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def archive(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in members.items():
            file.writestr(name, data)


def tensor(offset=0, sizes=(2, 2), strides=(2, 1), count=4, kind="FloatStorage", key="0"):
    """A pickle of {"a": tensor}, written by hand: protocol 2 with a persistent id and one call."""

    def number(value):
        return b"J" + struct.pack("<i", value) if value < 2**31 else b"\x8a\x0a" + value.to_bytes(10, "little")

    def text(value):
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    def several(values):
        return b"(" + b"".join(map(number, values)) + b"t"

    storage = b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key) + text("cpu") + number(count)
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"tQ" + number(offset) + several(sizes)
    return b"\x80\x02}" + text("a") + call + several(strides) + b"\x89}tRs."


def values(data, extra=b""):
    return {"w/data.pkl": data, "w/data/0": struct.pack("<4f", 1, 2, 3, 4) + extra}


def test_a_tensor_written_by_hand(tmp_path):
    archive(tmp_path / "w.pt", values(tensor(strides=(1, 2))))
    assert torch_files.load(tmp_path / "w.pt")["a"].tolist() == [[1, 3], [2, 4]]


def pickled(what):
    return pickle.dumps(what, protocol=2)


DEEP = b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"Ns."
HOSTILE = {
    "a call": (values(pickled({"a": Evil(print, "called")})), "__builtin__.print"),
    "another call": (values(pickled({"a": Evil(exec, "raise SystemExit")})), "__builtin__.exec"),
    "a nested pickle": (values(pickled({"a": Evil(pickle.loads, pickled(3))})), "pickle.loads"),
    "an object": (values(pickled({"a": io.BytesIO(b"")})), "_io.BytesIO"),
    "a storage called": (values(b"\x80\x02ctorch\nFloatStorage\n)R."), "a call of torch.FloatStorage"),
    "a number called": (values(b"\x80\x02K\x01)R."), "a call of int"),
    "attributes of a function": (values(b"\x80\x02ccollections\nOrderedDict\n}b."), "attributes of collections.Ord"),
    "another protocol": (values(pickle.dumps({"a": 1}, protocol=4)), "the pickle's opcode FRAME"),
    "a key of tuples": (values(DEEP), "tuple as a key"),
    "a dict of an odd number": (values(b"\x80\x02}(K\x01u."), "a damaged pickle"),
    "nothing put aside": (values(b"\x80\x02j\xff\xff\xff\x7f."), "a damaged pickle"),
    "an empty stack": (values(b"\x80\x02R."), "a damaged pickle"),
    "no end": (values(tensor()[:-1]), "a damaged pickle"),
    "more after the end": (values(tensor() + b"."), "1 bytes after the pickle's end"),
    "beyond the storage": (values(tensor(offset=1)), r"a tensor \(2, 2\) up to number 4 of a storage of 4"),
    "far beyond": (values(tensor(strides=(2**30, 1))), "up to number 1,073,741,825 of a storage of 4"),
    "a negative stride": (values(tensor(strides=(-2, 1))), "a tensor that is none"),
    "a negative offset": (values(tensor(offset=-1)), "a tensor that is none"),
    "a stride past 64 bits": (values(tensor(sizes=(1, 4), strides=(2**70, 1))), "a tensor that is none"),
    "too many strides": (values(tensor(strides=(1, 1, 1))), "a tensor of 2 sizes and 3 strides"),
    "spread out": (values(tensor(sizes=(2**30, 2**30), strides=(0, 0))), "up to number 0 of a storage of 4"),
    "nothing, but large": (values(tensor(sizes=(0, 2**30))), "of a storage of 4"),
    "a storage that lies": (values(tensor(count=2**30)), "storage 0, of 4 numbers, as one of 1,073,741,824"),
    "half a number": (values(tensor(), b"x"), "storage 0 of 17 bytes, no whole numbers of 4"),
    "no such storage": (values(tensor(key="../../passwd")), "no storage ../../passwd"),
    "a storage of complex": (values(tensor(kind="ComplexFloatStorage")), "torch.ComplexFloatStorage, which is not"),
    "no pickle": ({"w/data/0": b""}, "0 members data.pkl, not one"),
    "two pickles": ({"w/data.pkl": b"", "v/data.pkl": b""}, "2 members data.pkl"),
    "the other byte order": ({**values(tensor()), "w/byteorder": b"big"}, "another byte order"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused(case, tmp_path, capfd):
    members, says = HOSTILE[case]
    archive(tmp_path / "w.pt", members)
    with pytest.raises(CheckpointError, match=says) as error:
        kw.load_weights(dense(), tmp_path / "w.pt")
    assert str(error.value).startswith(f"{tmp_path / 'w.pt'} is refused, it holds ")
    assert capfd.readouterr().out == ""


def test_compressed_members_are_refused(tmp_path):
    archive(tmp_path / "w.pt", values(tensor(), bytes(1 << 20)), zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="compressed members"):
        torch_files.load(tmp_path / "w.pt")


def test_every_part_of_a_file_is_refused(tmp_path):
    path = tmp_path / "w.pt"
    archive(path, values(tensor()))
    whole = path.read_bytes()
    for length in range(4, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=f"^{path}"):
            torch_files.load(path)


def test_every_byte_that_is_changed_gives_values_or_the_one_error(tmp_path):
    path = tmp_path / "w.pt"
    archive(path, values(tensor()))
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            kw.load_weights(dense(), path, strict=False)
        except CheckpointError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("content", [{"a": 3}, [1, 2], 7, {"state_dict": {}}])
def test_a_file_without_values(content, tmp_path):
    archive(tmp_path / "w.pt", {"w/data.pkl": pickled(content)})
    with pytest.raises(CheckpointError, match="not values by name as torch"):
        kw.load_weights(dense(), tmp_path / "w.pt")


def test_other_files(tmp_path):
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        kw.load_weights(dense(), tmp_path / "none.pt")
    (tmp_path / "text").write_text("weights")
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        kw.load_weights(dense(), tmp_path / "text")
    kw.Trainer(kw.models.perceptron()).save(tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"which kw\.Trainer\.resume reads"):
        kw.load_weights(kw.models.perceptron(), tmp_path / "run")
    with pytest.raises(ValueError, match=r"load_weights: the model is a kw\.models\.Model or a layer, not 'vgg16'"):
        kw.load_weights("vgg16", tmp_path / "text")


def test_the_format_before_pytorch_1_6_is_named(tmp_path):
    with open(tmp_path / "old.pth", "wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {"weight": 1.0}):
            pickle.dump(part, file, protocol=2)
    with pytest.raises(CheckpointError, match=r"old\.pth is in the format that PyTorch had before 1\.6.*weights_only"):
        kw.load_weights(dense(), tmp_path / "old.pth")
