"""Export to model folders, their comparison with the checkpoint, and the way back."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.torch import load_file
from torch import equal

from usermirror_training import provenance
from usermirror_training.errors import TrainingError
from usermirror_training.export import export
from usermirror_training.outputs import whole
from usermirror_training.restore import restore
from usermirror_training.verify import verify

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def source(request: pytest.FixtureRequest) -> Path:
    """A checkpoint of each family."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def exported(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint's fp32 model folder."""
    target = tmp_path_factory.mktemp("models") / source.name
    assert export(source, target).logit < 1e-4
    return target


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
    assert all(equal(before[name], after[name]) for name in before)


def test_a_folder_that_strays_is_refused(source: Path, exported: Path, tmp_path: Path) -> None:
    target = tmp_path / "model"
    shutil.copytree(exported, target)
    model = onnx.load(target / "slot.onnx")
    head = next(t for t in model.graph.initializer if t.name == "lm_head.MatMul.weight")
    changed = numpy_helper.to_array(head) + np.float32(1e-3)
    head.CopyFrom(numpy_helper.from_array(changed, head.name))
    onnx.save(model, target / "slot.onnx")
    with pytest.raises(TrainingError, match="strays from"):
        verify(source, target)


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_quantised_folders_choose_alike(qwen2: Path, precision: str, tmp_path: Path) -> None:
    difference = export(qwen2, tmp_path / "model", precision)
    assert difference.letters < 0.05
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
