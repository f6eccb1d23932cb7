"""The families' building blocks, options and initial values; what all families have in common is in contracts/."""

import itertools
import math

import pytest
import torch
from torch import nn

from flexifed import models
from flexifed.models import _blocks, charcnn, vdcnn
from flexifed.settings import registry
from flexifed.settings.rng import torch_stream
from flexifed.sharing import planning
from flexifed.system.errors import UserError


def codes(text: str, length: int) -> torch.Tensor:
    """One text as the data sets store it: code points, 0 at the end."""
    return torch.tensor([[ord(c) for c in text] + [0] * (length - len(text))])


def build(family: str, version: str, shape: tuple[int, ...], **options: object) -> nn.Module:
    return models.build(family, version, shape, 4, options, torch_stream(0, "test"))


@pytest.mark.parametrize(
    ("unit", "width", "expected"),
    [
        (64, 1, 64),
        (64, 0.5, 32),
        (64, 0.3, 20),
        (64, 0.1, 6),
        (64, 0.001, 1),
        (16, 0.5, 8),
        (16, 0.25, 4),
        (64, 2, 128),
    ],
)
def test_narrow(unit: int, width: float, expected: int) -> None:
    assert _blocks.narrow(unit, width) == expected


@pytest.mark.parametrize(
    ("family", "shape"), [("vgg", (3, 32, 32)), ("resnet", (3, 32, 32)), ("charcnn", (1014,)), ("vdcnn", (1024,))]
)
def test_xaviers_initial_values(family: str, shape: tuple[int, ...]) -> None:
    """Standard deviation sqrt(2 / (fan in + fan out)) of every weight, within sampling error; biases as before."""
    own, xavier = (build(family, "V1", shape, width=0.25, initial=initial) for initial in ("own", "xavier"))
    for name, module in xavier.named_modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear) and module.weight.numel() > 1000:
            field = module.weight[0, 0].numel()
            fan_out, fan_in = (n * field for n in module.weight.shape[:2])
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / (fan_in + fan_out)), rel=0.1)
            before = own.get_submodule(name)
            assert not torch.equal(module.weight, before.weight)
            assert module.bias is None or torch.equal(module.bias, before.bias)


def test_unknown_initial_values() -> None:
    with pytest.raises(UserError, match=r"unknown initial of family 'vgg' 'xavir'\. Did you mean 'xavier'"):
        build("vgg", "V1", (3, 32, 32), initial="xavir")


@pytest.mark.parametrize("width", [0, -1.0, math.nan])
def test_a_width_must_be_positive(width: float) -> None:
    with pytest.raises(UserError, match="width of family 'vgg' must be between"):
        models.build_meta("vgg", "V1", (3, 32, 32), 10, {"width": width})


@pytest.mark.parametrize(
    ("family", "shape", "expected"),
    [
        ("vgg", (3, 30, 32), "multiples of 32"),
        ("vgg", (1024,), "channels, height, width"),
        ("resnet", (32, 32), "channels, height, width"),
        ("charcnn", (3, 32, 32), "length"),
        ("charcnn", (122,), ">= 123"),
        ("vdcnn", (56,), ">= 57"),
        ("mlp", (64,), "channels, height, width"),
        ("conv", (3, 1, 32), "V1 of family 'conv' reads images of at least 2 x 2"),
    ],
)
def test_a_shape_that_does_not_fit_the_family(family: str, shape: tuple[int, ...], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        build(family, "V1", shape)


@pytest.mark.parametrize(
    ("family", "version", "options", "expected"),
    [
        ("vgg11", "V1", {}, "unknown family 'vgg11'"),
        ("vgg", "V5", {}, "unknown version of family 'vgg' 'V5'"),
        ("vgg", "V1", {"widht": 0.5}, "Did you mean 'width'"),
        ("vgg", "V1", {"width": "half"}, "must be a number"),
        ("vgg", "V1", {"dropout": "never"}, "Known: after, before"),
        ("vdcnn", "V1", {"pooling": "triple"}, "Known: doubled, single"),
    ],
)
def test_unknown_names(family: str, version: str, options: dict[str, object], expected: str) -> None:
    with pytest.raises(UserError, match=expected):
        models.build_meta(family, version, (3, 32, 32), 10, options)


@pytest.mark.parametrize(
    ("family", "version", "shortest"), [("charcnn", v, 123) for v in charcnn.VERSIONS] + [("vdcnn", "V1", 57)]
)
def test_the_shortest_text_can_be_read(family: str, version: str, shortest: int) -> None:
    model = build(family, version, (shortest,), width=0.02).eval()
    assert model(codes("a", shortest)).shape == (1, 4)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 32), (1, 5, 7)])
def test_an_mlp_reads_any_size(shape: tuple[int, ...]) -> None:
    assert build("mlp", "V1", shape, width=0.05).eval()(torch.zeros(2, *shape)).shape == (2, 4)


def test_layers_of_an_mlp() -> None:
    """V2 on MNIST is the 2NN of McMahan et al. 2017, who give its size: 199,210 parameters."""
    assert names(build("mlp", "V2", (1, 28, 28))) == ["flatten", "fc1", "relu1", "fc2", "relu2", "output"]
    model = models.build_meta("mlp", "V2", (1, 28, 28), 10, {})
    assert sum(parameter.numel() for parameter in model.parameters()) == 199_210


def conv(version: str, shape: tuple[int, ...] = (3, 32, 32), **options: object) -> nn.Module:
    return models.build_meta("conv", version, shape, 10, options)


@pytest.mark.parametrize(
    ("version", "weights", "of_convolutions"),
    [
        ("V1", 4_300_992, 38_592),  # 4.3 million and 38 thousand in Frankle & Carbin's Figure 2
        ("V2", 2_425_024, 259_776),  # 2.4 million, 260 thousand
        ("V3", 2_261_184, 1_144_512),  # 1.7 million, which is not what they describe; 1.1 million
        ("V4", 5_275_840, 4_683_456),
    ],
)
def test_weights_of_conv_that_can_be_pruned(version: str, weights: int, of_convolutions: int) -> None:
    sizes = {name: p.numel() for name, p in conv(version).named_parameters() if name.endswith("weight")}
    assert sum(sizes.values()) == weights
    assert sum(n for name, n in sizes.items() if name.startswith("conv")) == of_convolutions


@pytest.mark.parametrize(("version", "least"), [("V1", 2), ("V2", 4), ("V3", 8), ("V4", 16)])
@pytest.mark.parametrize("head", ["paper", "pooled"])
def test_conv_reads_images_that_its_pools_fit(version: str, least: int, head: str) -> None:
    for shape in ((1, least, 28), (3, least + 1, least)):
        model = build("conv", version, shape, width=0.05, head=head).eval()
        assert model(torch.zeros(2, *shape)).shape == (2, 4)
    with pytest.raises(UserError, match=f"at least {least} x {least}"):
        build("conv", version, (1, least - 1, 28), head=head)


def test_pools_of_conv_round_down() -> None:
    features = [conv(version, (1, 28, 28)).get_submodule("fc1").in_features for version in ("V1", "V2", "V3", "V4")]
    assert features == [64 * 14 * 14, 128 * 7 * 7, 256 * 3 * 3, 512 * 1 * 1]


def test_with_a_pooled_head_a_shallow_conv_is_the_corner_of_a_deep_one() -> None:
    sizes = []
    deep = dict(conv("V4", head="pooled").named_parameters())
    for version in ("V1", "V2", "V3", "V4"):
        shallow = dict(conv(version, head="pooled").named_parameters())
        sizes.append(sum(p.numel() for p in shallow.values()))
        for name, p in shallow.items():
            assert all(a <= b for a, b in zip(p.shape, deep[name].shape, strict=True)), name
    assert sizes == [123_722, 361_546, 1_279_562, 4_885_066]


def test_a_pooled_head_reads_the_means_of_the_channels() -> None:
    model = build("conv", "V1", (1, 8, 8), width=0.05, head="pooled").eval()
    seen: dict[str, torch.Tensor] = {}
    model.get_submodule("pool1").register_forward_hook(lambda m, x, y: seen.update(pooled=y))
    model.get_submodule("fc1").register_forward_hook(lambda m, x, y: seen.update(read=x[0]))
    model(torch.rand(2, 1, 8, 8, generator=torch_stream(0, "x")))
    torch.testing.assert_close(seen["read"], seen["pooled"].mean(dim=(2, 3)))


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 64, 32)])
def test_vgg_reads_other_sizes(shape: tuple[int, ...]) -> None:
    assert build("vgg", "V1", shape, width=0.05).eval()(torch.zeros(2, *shape)).shape == (2, 4)


def test_dropout_draws_from_its_own_generator() -> None:
    dropout, x = _blocks.Dropout(0.25), torch.ones(100, 100)
    before = torch.get_rng_state()
    draws = []
    for seed in (1, 1, 2):
        _blocks.set_generator(dropout, torch_stream(seed, "dropout"))
        draws.append(dropout(x))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.get_rng_state(), before)
    assert draws[0].unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert draws[0].mean().item() == pytest.approx(1, abs=0.03)  # 5 standard deviations
    assert torch.equal(dropout.eval()(x), x)


def test_dropout_without_a_generator_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="set_generator"):
        _blocks.Dropout()(torch.ones(2))


def names(model: nn.Module) -> list[str]:
    return [name for name, _ in model.named_children()]


def test_place_of_dropout_in_vgg() -> None:
    before, after = (names(build("vgg", "V1", (3, 32, 32), width=0.02, dropout=p)) for p in ("before", "after"))
    assert before[-8:] == ["flatten", "drop1", "fc1", "fc1_relu", "drop2", "fc2", "fc2_relu", "fc3"]
    assert after[-8:] == ["flatten", "fc1", "fc1_relu", "drop1", "fc2", "fc2_relu", "drop2", "fc3"]


def test_pools_of_vgg_close_the_stages() -> None:
    layers = [name for name in names(build("vgg", "V2", (3, 32, 32), width=0.02)) if name[:4] in ("conv", "pool")]
    assert [layers.index(f"pool{stage}") for stage in range(1, 6)] == [2, 5, 8, 11, 14]


def test_largest_values_keep_their_order() -> None:
    x = torch.tensor([[[1.0, 9, 2, 8, 3, 7]], [[6, 5, 4, 3, 2, 1]]])
    assert vdcnn.LargestValues(3)(x).tolist() == [[[9, 8, 7]], [[6, 5, 4]]]


def lengths(model: nn.Module, x: torch.Tensor, watched: list[str]) -> list[int]:
    """Length of the output of some parts of a text model."""
    found = []
    for name in watched:
        model.get_submodule(name).register_forward_hook(lambda m, i, y: found.append(y.shape[-1]))
    model(x)
    return found


@pytest.mark.parametrize(
    ("pooling", "expected"), [("single", [512, 256, 128, 128, 8]), ("doubled", [256, 64, 16, 8, 8])]
)
def test_pooling_of_vdcnn(pooling: str, expected: list[int]) -> None:
    model = build("vdcnn", "V1", (1024,), width=0.02, pooling=pooling).eval()
    watched = ["stage1", "stage2", "stage3", "stage4", "largest"]
    assert lengths(model, codes("a", 1024), watched) == expected


def test_pooling_of_vdcnn_does_not_change_the_state() -> None:
    shapes = [
        {k: v.shape for k, v in models.build_meta("vdcnn", "V2", (1024,), 4, {"pooling": p}).state_dict().items()}
        for p in ("single", "doubled")
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(("version", "positions"), [("V1", 36), ("V2", 35), ("V3", 34), ("V4", 34)])
def test_positions_that_enter_the_classifier_of_charcnn(version: str, positions: int) -> None:
    fc1 = models.build_meta("charcnn", version, (1024,), 4, {}).get_submodule("fc1")
    assert fc1.in_features == positions * 256


def test_symbols() -> None:
    symbols = _blocks.Symbols("ab-c-", first=5, unknown=1, length=8)
    x = codes("ab-cA\x7f", 10)
    x[0, 6] = 12354  # a code point far outside ASCII
    assert symbols(x).tolist() == [[5, 6, 7, 8, 1, 1, 1, 0]]  # the first "-" counts; cut at 8


def test_alphabet_of_charcnn() -> None:
    assert len(charcnn.ALPHABET) == 70 and len(set(charcnn.ALPHABET)) == 69 and charcnn.ALPHABET.count("-") == 2
    model = build("charcnn", "V1", (1024,), width=0.02)
    one_hot = nn.Sequential(*itertools.islice(model.children(), 2))
    vectors = one_hot(codes("az 9", 1024))[0]
    assert vectors.shape == (1014, 70)
    assert vectors[:5].nonzero().tolist() == [[0, 0], [1, 25], [3, 35]]  # blank and padding are zeros


def test_alphabet_of_vdcnn() -> None:
    assert vdcnn.ROWS == 69 and len(set(vdcnn.ALPHABET)) == 67
    model = build("vdcnn", "V1", (1024,), width=0.02)
    rows = model.get_submodule("symbols")(codes(" a}A", 1024))[0]
    assert rows[:5].tolist() == [2, 3, 68, 1, 0]
    assert model.get_submodule("embedding").weight[0].abs().sum() == 0


def test_the_frozen_table_of_charcnn_is_not_part_of_its_state() -> None:
    model = build("charcnn", "V1", (1024,), width=0.02)
    assert not any("table" in key for key in model.state_dict())
    assert model.get_submodule("one_hot").table.shape == (71, 70)


def test_shortcuts_of_resnet_stand_where_the_size_changes() -> None:
    keys = models.build_meta("resnet", "V4", (3, 32, 32), 10, {}).state_dict()
    assert {k for k in keys if "shortcut.conv" in k} == {
        "stage2.block1.shortcut.conv.weight",
        "stage3.block1.shortcut.conv.weight",
    }


def test_a_residual_block_adds_its_input() -> None:
    block = _blocks.Residual(nn.Conv1d, nn.BatchNorm1d, 4, 4, bias=True).eval()
    nn.init.zeros_(block.norm2.weight)
    x = torch.randn(2, 4, 8, generator=torch_stream(0, "x"))
    assert torch.equal(block(x), x.relu())


@pytest.mark.parametrize(
    ("family", "layer", "expected"),
    [
        ("vgg", "conv4", math.sqrt(2 / (9 * 256))),  # N(0, 2 / (k * k * out))
        ("vgg", "fc2", 1 / math.sqrt(3 * 4096)),  # uniform within 1/sqrt(fan in)
        ("mlp", "fc1", 1 / math.sqrt(3 * 3072)),
        ("conv", "conv2", math.sqrt(2 / (9 * (64 + 64)))),  # Xavier normal
        ("conv", "fc2", math.sqrt(2 / (256 + 256))),
        ("resnet", "stage3.block2.conv1", math.sqrt(2 / (9 * 64))),
        ("charcnn", "conv2", 0.05),
        ("charcnn", "fc2", 0.05),
        ("vdcnn", "stage4.block1.conv2", math.sqrt(2 / (3 * 512))),  # fan in
        ("vdcnn", "embedding", math.sqrt(68 / 69)),  # N(0, 1) but for the padding row
    ],
)
def test_spread_of_initial_weights(family: str, layer: str, expected: float) -> None:
    shape = planning.SHAPES[registry.constant("family", family, "KIND")]
    weight = build(family, "V1", shape).get_submodule(layer).weight.detach()
    n = weight.numel()
    assert weight.std().item() == pytest.approx(expected, rel=5 / math.sqrt(2 * n))
    assert weight.mean().item() == pytest.approx(0, abs=5 * expected / math.sqrt(n))


def test_initial_biases_and_normalisation_of_vgg() -> None:
    state = build("vgg", "V1", (3, 32, 32), width=0.1).state_dict()
    for name, value in (("conv3.bias", 0), ("norm3.weight", 1), ("norm3.bias", 0), ("norm3.running_var", 1)):
        assert (state[name] == value).all(), name
    assert state["norm3.num_batches_tracked"] == 0
