"""What objects say of themselves: a call or a line as `repr`, and HTML for notebooks."""

import inspect
from html.parser import HTMLParser

import numpy as np

import kernelwright as kw


def network():
    return kw.nn.Sequential(kw.nn.Conv(8, 3, pad=1), kw.relu, kw.nn.Flatten(), kw.nn.Dense(10, bias=False))


def tags(text):
    """The tags of well-formed HTML, in order of their beginning."""
    found, open_ones = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.append(tag)
            if tag != "br":
                open_ones.append(tag)

        def handle_startendtag(self, tag, attrs):
            found.append(tag)

        def handle_endtag(self, tag):
            assert open_ones.pop() == tag

    Reader().feed(text)
    assert open_ones == []
    return found


def test_layers_are_shown_as_the_calls_that_make_them():
    assert repr(kw.nn.Dense(3)) == "Dense(3)"
    assert repr(kw.nn.Dense(3, weight_init=kw.init.constant(0.5))) == "Dense(3, weight_init=constant(0.5))"
    assert repr(kw.nn.Conv(8, 3, stride=2, bias=False)) == "Conv(8, 3, stride=2, bias=False)"
    assert repr(network()).splitlines() == [
        "Sequential(",
        "  (layers.0): Conv(8, 3, pad=1)",
        "  (layers.1): Activation(relu)",
        "  (layers.2): Flatten()",
        "  (layers.3): Dense(10, bias=False)",
        ")",
    ]


def test_optimizers_programs_and_generators_say_what_they_are():
    assert repr(kw.optim.SGD(0.5, momentum=0.9)) == "SGD(0.5, momentum=0.9)"
    x = kw.input("x", (None, 4))
    program = kw.compile([x], [x * 2, x.sum()])
    assert repr(program) == f"<compiled program: 1 input, 2 outputs, 0 updates, {len(program.kernels)} kernels>"
    assert repr(kw.Generator(3)) == "<Generator: seed 3, 0 steps, 0 streams>"
    assert repr(kw.data.digits().train) == "<Split: 8500 images (1, 28, 28)>"


def test_no_public_class_is_shown_by_its_address():
    modules = (kw, kw.nn, kw.optim, kw.callbacks, kw.data, kw.models)
    silent = [
        name
        for module in modules
        for name, found in vars(module).items()
        if inspect.isclass(found)
        and not name.startswith("_")
        and not issubclass(found, BaseException)
        and not getattr(found, "_is_protocol", False)
        and found.__module__.startswith("kernelwright")
        and found.__repr__ is object.__repr__
    ]
    assert silent == []


def test_html_is_well_formed_and_escaped():
    x = kw.input("<x>", (None, 4))
    y = kw.tanh(x)
    assert tags(y._repr_html_()) == ["code", "br"] and "&lt;x&gt;" in y._repr_html_()
    program = kw.compile([x], [y])
    assert tags(program._repr_html_()) == ["pre"] and program.kernels[0].name in program._repr_html_()
    model = kw.models.build("perceptron")
    found = tags(model._repr_html_())
    assert found[0] == "table" and found.count("tr") == len(model.rows()) + 2


def test_a_history_is_a_list_and_its_curve():
    rng = np.random.default_rng(0)
    trainer = kw.Trainer(kw.models.build("perceptron"), optimizer=kw.optim.SGD(0.1), batch=16)
    history = trainer.fit((rng.random((64, 1, 28, 28), "float32"), np.arange(64, dtype="int32") % 10), epochs=3)
    assert isinstance(history, list) and [record["epoch"] for record in history] == [1, 2, 3]
    drawn = history._repr_html_()
    assert tags(drawn)[0] == "svg" and "3 epochs" in drawn
    (curve,) = [part.split('"')[0] for part in drawn.split('<polyline points="')[1:]]
    heights = [float(point.split(",")[1]) for point in curve.split()]
    losses = [record["loss"] for record in history]
    assert np.argsort(heights).tolist() == np.argsort(losses)[::-1].tolist()  # downwards on the page
    assert "[]" in type(history)()._repr_html_()
