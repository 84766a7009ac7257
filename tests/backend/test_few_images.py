"""Programs over few images of known number: what makes batches fast is there for one picture as well."""

import re

import numpy as np

import kernelwright as kw

AXES = re.compile(r"\b[ir]\d+\b ?")


def convolved(images: int):
    """The gradient by `images` equal pictures of what three layers of 3x3 windows make of them."""
    rng = np.random.default_rng(0)
    one = rng.standard_normal((1, 16, 32, 32)).astype("float32")
    picture = kw.variable("picture", np.repeat(one, images, axis=0))
    x = picture
    for i in range(3):
        filters = kw.variable(f"filters{i}", (rng.standard_normal((32, x.shape[1], 3, 3)) / 16).astype("float32"))
        x = kw.relu(kw.conv(x, filters, pad=1))
    return kw.compile([], [kw.grad((kw.max_pool(x, 2) ** 2).sum(), picture)])


def ways(program) -> dict[str, str]:
    """Each kernel's way, without its axes and sizes."""
    return {k.name: AXES.sub("", k.schedule.split(", outer")[0].split(" in chunks")[0]) for k in program.kernels}


def test_one_picture_has_the_schedules_of_two():
    one, two = ways(convolved(1)), ways(convolved(2))
    vectors = [name for name, way in two.items() if "tiles of" in way or "lanes along" in way]
    assert len(vectors) >= 8
    assert {name: one[name] for name in vectors} == {name: two[name] for name in vectors}


def test_one_picture_has_the_gradient_of_each_of_two():
    one, two = convolved(1)(), convolved(2)()
    np.testing.assert_allclose(two, np.repeat(one, 2, axis=0), rtol=2e-4, atol=2e-4)


def test_what_two_products_want_in_two_orders_is_copied():
    """A Gram matrix's gradient is multiplied from both sides, with rows over all places of a picture."""
    picture = kw.variable("picture", np.zeros((1, 3, 512, 512), "float32"))
    first, second = (kw.variable("filters", np.zeros((64, c, 3, 3), "float32")) for c in (3, 64))
    one = kw.relu(kw.conv(picture, first, pad=1))
    two = kw.relu(kw.conv(one, second, pad=1))
    wanted = (kw.vision.gram(one) ** 2).mean() + (two**2).mean()
    program = kw.compile([], [kw.grad(wanted, picture)])
    products = {k.name: k.schedule for k in program.kernels}
    for name in ("contract_mul", "contract", "contract_where"):
        assert "outer tile" in products[name] and "lanes i0" in products[name] and "outer none" in products[name]
