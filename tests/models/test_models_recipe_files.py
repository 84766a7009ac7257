"""Recipes as TOML: those that ship say what the networks' builders say, and what is wrong is named with its line."""

import pytest

import kernelwright as kw
from kernelwright.models import recipe_files
from kernelwright.models.checks import SettingError
from kernelwright.models.recipe import Recipe

GOOD = """# A comment.
network = "mlp"
data = "mnist"
epochs = 3
batch = 32
validation = 0.2
precision = "bfloat16"
augment = "rotate=10,flip"
clip_norm = 1.5
ema = 0.99
accumulate = 4

[optimizer]
name = "Adam"
betas = [0.8, 0.9]
groups = [{ match = "*.bias", weight_decay = 0.0 }]

[schedule]
name = "steps"
learning_rate = 0.01
milestones = [0.25]

[loss]
name = "cross_entropy"
label_smoothing = 0.1
"""


def written(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_every_setting_of_a_file(tmp_path):
    found = recipe_files.read(written(tmp_path, GOOD))
    assert (found.name, found.network, found.data) == ("mine", "mlp", "mnist")
    assert (found.validation, found.precision, found.augment) == (0.2, "bfloat16", "rotate=10,flip")
    assert (found.clip_norm, found.ema, found.accumulate) == (1.5, 0.99, 4)
    assert found.recipe == Recipe(
        "Adam",
        0.01,
        "steps",
        (0.25,),
        epochs=3,
        batch=32,
        options={"betas": [0.8, 0.9], "groups": [kw.optim.Group("*.bias", 0.0)]},
        loss="cross_entropy",
        loss_options={"label_smoothing": 0.1},
    )


@pytest.mark.parametrize("name", recipe_files.names())
def test_those_that_ship_say_what_the_builders_say(name, outlined):
    found = recipe_files.read(name)
    assert name.startswith(f"{found.network}-{found.data}") and found.validation == 0.1
    model = outlined(found.network)
    usual = {"imagenet": "image-folder"}.get(model.dataset, model.dataset)
    if name == f"{found.network}-{usual}":
        assert found.recipe == model.recipe
    else:  # other data, or other settings for them, which say whose they are
        assert "settings are" in recipe_files.text(name) or "epochs" in recipe_files.text(name).splitlines()[0]


def test_every_network_of_a_data_set_has_one(outlined):
    models = [outlined(name) for name in kw.models.names()]
    assert {m.name for m in models if m.dataset} <= {name.split("-")[0] for name in recipe_files.names()}


def test_the_papers_settings_written_out():
    resnet = recipe_files.read("resnet56-cifar10")  # He et al. 2016, section 4.2
    assert (resnet.recipe.learning_rate, resnet.recipe.batch, resnet.augment) == (0.1, 128, "crop=32:padding=4,flip")
    assert resnet.recipe.options == {"momentum": 0.9, "weight_decay": 1e-4}
    inception = recipe_files.read("inception_v3-image-folder")  # Szegedy et al. 2015, section 8
    assert (inception.recipe.optimizer, inception.clip_norm) == ("RMSprop", 2.0)
    assert inception.recipe.options == {"alpha": 0.9, "eps": 1.0}


@pytest.mark.parametrize("old, new, words", [
    ("epochs = 3", "epoch = 3", "line 4: there is no setting 'epoch'; did you mean 'epochs'"),
    ("epochs = 3", "epochs = 0", "line 4: recipe: epochs is a whole number of at least 1, not 0"),
    ('"mlp"', '"mpl"', "line 2: there is no network 'mpl'; did you mean 'mlp'"),
    ('"mnist"', '"minst"', "line 3: there is no data 'minst'; did you mean 'mnist'"),
    ("validation = 0.2", "validation = 1", "line 6: validation is a number that lies in"),
    ('"bfloat16"', '"float61"', "line 7: precision: bfloat16 or None for float32 throughout, not 'float61'"),
    ("rotate=10", "rotat=10", "line 8: augment: there is no step 'rotat'; did you mean 'rotate'"),
    ('"rotate=10,flip"', "5", "line 8: augment"),
    ("ema = 0.99", "ema = 2", "line 10: ema: the decay of the average"),
    ('"Adam"', '"Adan"', "line 14: there is no optimizer name 'Adan'; did you mean 'Adam'"),
    ("betas", "beta", r"line 15: \[optimizer\] has no setting 'beta'; did you mean 'betas'"),
    ("betas = [0.8, 0.9]", "betas = 3", "line 14: "),
    ('"steps"', '"step"', "line 19: there is no schedule name 'step'; did you mean 'steps'"),
    ("milestones = [0.25]", "milestones = 5", "line 21: "),
    ("learning_rate", "learningrate", r"line 20: \[schedule\] has no setting .*; did you mean 'learning_rate'"),
    ('"cross_entropy"', '"crossentropy"', "line 24: there is no loss name '.*'; did you mean 'cross_entropy'"),
    ("label_smoothing", "smoothing", r"line 25: \[loss\] has no setting 'smoothing'; did you mean 'label_smoothing'"),
    ("[loss]", "[los]", "'los'; did you mean 'loss'"),
    ("batch = 32", "batch = ", r"is not TOML: .*line 5"),
])  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(SettingError, match=words):
        recipe_files.read(written(tmp_path, GOOD.replace(old, new)))


def test_tables_are_needed(tmp_path):
    with pytest.raises(SettingError, match=r"a table \[optimizer\] with a name is needed"):
        recipe_files.read(
            written(tmp_path, 'network = "mlp"\ndata = "mnist"\noptimizer = "Adam"\n[schedule]\nname = "cosine"')
        )


def test_names_and_files_that_are_not_there(tmp_path):
    with pytest.raises(SettingError, match="there is no recipe 'lenet5-mnits'; did you mean 'lenet5-mnist'"):
        recipe_files.read("lenet5-mnits")
    with pytest.raises(SettingError, match=r"cannot read the recipe .*none\.toml: No such file"):
        recipe_files.read(tmp_path / "none.toml")
