"""Export to model folders, their comparison with the checkpoint, and the way back."""

import json
import shutil
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from safetensors.torch import load_file

from usermirror_training import checkpoint, provenance
from usermirror_training.errors import TrainingError
from usermirror_training.export import export
from usermirror_training.outputs import whole
from usermirror_training.restore import restore
from usermirror_training.verify import verify

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def exported_fp16(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint's fp16 model folder."""
    target = tmp_path_factory.mktemp("models") / f"{source.name}-fp16"
    assert export(source, target, "fp16").letters < 1e-3
    return target


def changed(folder: Path, target: Path, factor: float) -> Path:
    """A copy of a model folder with other logits: the head's weights times `factor`."""
    shutil.copytree(folder, target)
    model = onnx.load(target / "slot.onnx")
    head = next(t for t in model.graph.initializer if t.name == "lm_head.MatMul.weight")
    weights = numpy_helper.to_array(head)
    head.CopyFrom(numpy_helper.from_array(weights * weights.dtype.type(factor), head.name))
    onnx.save(model, target / "slot.onnx")
    return target


def said(folder: Path) -> str:
    """The precision in the metadata of a folder's graph, which the engine shows."""
    properties = onnx.load(folder / "slot.onnx").metadata_props
    return next(entry.value for entry in properties if entry.key == "precision")


def test_a_model_folder_is_complete_and_says_where_it_comes_from(
    source: Path, exported: Path
) -> None:
    names = {path.name for path in exported.iterdir()}
    wanted = {*provenance.MODEL_FILES, "config.json", "provenance.json"}
    assert wanted - names == {"slot.onnx.data"}
    origin = json.loads((exported / "provenance.json").read_text())
    assert origin["parameters"] == {"precision": "fp32"}
    assert origin["parent"]["fingerprint"] == provenance.folder_fingerprint(source)


def test_an_exported_checkpoint_can_be_restored(
    source: Path, exported: Path, tmp_path: Path
) -> None:
    restore(exported, tmp_path / "restored")
    before = load_file(source / "model.safetensors")
    after = load_file(tmp_path / "restored" / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("factor", [1.01, float("nan")])
def test_a_folder_that_strays_is_refused(
    source: Path, exported: Path, factor: float, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="strays from"):
        verify(source, changed(exported, tmp_path / "model", factor))


def test_an_fp16_folder_is_for_cuda(exported: Path, exported_fp16: Path) -> None:
    names = [{path.name for path in folder.iterdir()} for folder in (exported, exported_fp16)]
    assert names[0] == names[1]
    graph = onnx.load(exported_fp16 / "slot.onnx").graph
    types = {
        value.name: value.type.tensor_type.elem_type for value in [*graph.input, *graph.output]
    }
    halves = {name for name, kind in types.items() if kind == TensorProto.FLOAT16}
    parts = [f"{layer}.{part}" for layer in (0, 1) for part in ("key", "value")]
    cached = {f"{side}.{part}" for side in ("past_key_values", "present") for part in parts}
    assert halves == cached | {f"prefix.{part}" for part in parts}
    config = json.loads((exported_fp16 / "genai_config.json").read_text())
    (provider,) = config["model"]["decoder"]["session_options"]["provider_options"]
    assert list(provider) == ["cuda"]


def test_an_fp16_folder_that_strays_is_refused(
    source: Path, exported_fp16: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="strays from"):
        verify(source, changed(exported_fp16, tmp_path / "model", 1.05))


def test_a_checkpoint_beyond_fp16_is_not_exported_in_it(qwen2: Path, tmp_path: Path) -> None:
    """The CPU's graph does not overflow where this one does, inside a feed-forward block."""
    large = tmp_path / "large"
    model = checkpoint.model(qwen2)
    block = model.model.layers[0].mlp
    with torch.no_grad():
        block.gate_proj.weight.mul_(100)
        block.up_proj.weight.mul_(2e5)
        block.down_proj.weight.mul_(1e-3)
    model.save_pretrained(large)
    checkpoint.copy_tokenizer(qwen2, large)
    with pytest.raises(TrainingError, match="fp16 cannot hold"):
        export(large, tmp_path / "model", "fp16")
    assert not (tmp_path / "model").exists()


def test_a_graph_says_its_precision(exported: Path, exported_fp16: Path) -> None:
    assert [said(exported), said(exported_fp16)] == ["fp32", "fp16"]


def test_an_fp16_folder_cannot_be_restored(exported_fp16: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be restored"):
        restore(exported_fp16, tmp_path / "restored")


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_quantised_folders_choose_alike(qwen2: Path, precision: str, tmp_path: Path) -> None:
    difference = export(qwen2, tmp_path / "model", precision)
    assert difference.letters < 0.05
    assert said(tmp_path / "model") == precision
    with pytest.raises(TrainingError, match="cannot be restored"):
        restore(tmp_path / "model", tmp_path / "restored")


def test_an_output_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk"), whole(tmp_path / "model") as folder:
        (folder / "slot.onnx").write_text("half")
        raise OSError("the disk is full")
    assert list(tmp_path.iterdir()) == []


def test_the_demo_models_can_be_restored(tmp_path: Path) -> None:
    restore(REPOSITORY / "models/weak", tmp_path / "weak")
    difference = verify(tmp_path / "weak", REPOSITORY / "models/weak")
    assert difference.logit < 1e-4
