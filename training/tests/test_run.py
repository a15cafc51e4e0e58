"""Training runs: what they write, how they go on after a kill, how they fail."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import Tensor, allclose

from usermirror_training.__main__ import main

PACKAGE = Path(__file__).parents[1]


def command(stage: str, model: Path, pairs: Path, target: Path, settings: Path) -> list[str]:
    """The words of a training command."""
    paths = {"--model": model, "--data": pairs, "--to": target, "--config": settings}
    return [stage, *(str(word) for option in paths.items() for word in option)]


def weights(folder: Path) -> dict[str, Tensor]:
    """A checkpoint's weights."""
    return load_file(folder / "model.safetensors")


def logged(folder: Path) -> list[dict[str, float]]:
    """What a run logged."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("stage", "measure"), [("sft", "loss"), ("dpo", "rewards/margins")])
def test_a_run_writes_a_whole_checkpoint(
    stage: str, measure: str, llama: Path, pairs: Path, quick: Path, tmp_path: Path
) -> None:
    target = tmp_path / stage
    assert main(command(stage, llama, pairs, target, quick)) == 0
    assert not target.with_name(f"{stage}.partial").exists()
    lines = logged(target)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    better = lines[0][measure] > lines[-1][measure]
    assert better if measure == "loss" else not better
    assert "<polyline" in (target / "curves.svg").read_text()
    origin = json.loads((target / "provenance.json").read_text())
    assert (origin["stage"], origin["parent"]["name"], origin["data"]["rows"]) == (
        stage,
        "llama",
        12,
    )
    assert origin["parameters"][stage]["learning_rate"] == 1e-2
    before, after = weights(llama), weights(target)
    assert before.keys() == after.keys()
    assert not allclose(before["model.norm.weight"], after["model.norm.weight"])
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (target / name).read_bytes() == (llama / name).read_bytes()


def test_grpo_rewards_the_true_letter(
    llama: Path, pairs: Path, quick: Path, tmp_path: Path
) -> None:
    target = tmp_path / "grpo"
    assert main(command("grpo", llama, pairs, target, quick)) == 0
    assert all(0 <= line["reward"] <= 1 for line in logged(target))


def test_adapters_are_merged_into_plain_weights(
    qwen2: Path, pairs: Path, quick: Path, tmp_path: Path
) -> None:
    target = tmp_path / "lora"
    quick.write_text(quick.read_text() + "[lora]\nrank = 4\n")
    assert main(command("dpo", qwen2, pairs, target, quick)) == 0
    before, after = weights(qwen2), weights(target)
    assert before.keys() == after.keys()
    projection = "model.layers.0.mlp.up_proj.weight"
    assert not allclose(before[projection], after[projection])
    assert allclose(before["model.norm.weight"], after["model.norm.weight"])


def test_a_killed_run_goes_on_to_the_same_weights(
    llama: Path, pairs: Path, quick: Path, tmp_path: Path
) -> None:
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert main(command("sft", llama, pairs, straight, quick)) == 0
    words = command("sft", llama, pairs, killed, quick)
    _kill_after_first_checkpoint(words, killed)
    assert not killed.exists()
    assert main(words) == 0
    assert [line["step"] for line in logged(killed)] == [1, 2, 3, 4, 5, 6]
    for name, weight in weights(straight).items():
        assert allclose(weight, weights(killed)[name], atol=1e-6), name


def _kill_after_first_checkpoint(words: list[str], target: Path) -> None:
    """Starts the run as a user does and kills it without warning."""
    state = target.with_name(f"{target.name}.partial") / "checkpoints/checkpoint-2"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    process = subprocess.Popen(
        [sys.executable, "-m", "usermirror_training", *words], env=environment
    )
    while not (state / "trainer_state.json").exists():
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def launched(*words: str) -> str:
    """What two processes print that run the same Python together."""
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--no-python"]
    whole = [sys.executable, *launcher, sys.executable, *words]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE), "ACCELERATE_USE_CPU": "1"}
    return subprocess.run(
        whole, env=environment, check=True, text=True, stdout=subprocess.PIPE
    ).stdout


def test_two_processes_share_the_work(
    llama: Path, pairs: Path, quick: Path, tmp_path: Path
) -> None:
    target = tmp_path / "together"
    launched("-m", "usermirror_training", *command("dpo", llama, pairs, target, quick))
    assert [line["step"] for line in logged(target)] == [1, 2, 3]


def test_processes_know_of_each_other_before_they_write() -> None:
    """Else each stores the rows, and removes those of the other."""
    code = "from usermirror_training.run import processes; print(processes().num_processes)"
    assert "".join(launched("-c", code).split()) == "22"


def test_an_unfinished_run_with_other_settings_is_not_continued(
    llama: Path, pairs: Path, quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    partial = tmp_path / "out.partial"
    partial.mkdir()
    (partial / "run.json").write_text("{}")
    assert main(command("sft", llama, pairs, tmp_path / "out", quick)) == 1
    assert "unfinished run with another model, data or settings" in capsys.readouterr().err


def test_an_output_is_never_replaced(
    llama: Path, pairs: Path, quick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command("sft", llama, pairs, llama, quick)) == 1
    assert "exists: remove it, or name another folder" in capsys.readouterr().err


def test_another_architecture_is_refused(
    llama: Path, pairs: Path, quick: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "gpt2"
    other.mkdir()
    for path in llama.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    config = json.loads((other / "config.json").read_text()) | {"model_type": "gpt2"}
    (other / "config.json").write_text(json.dumps(config))
    assert main(command("sft", other, pairs, tmp_path / "out", quick)) == 1
    assert "of the family 'gpt2'; known are llama, qwen2" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_too_little_room_is_said_before_the_run(
    llama: Path,
    pairs: Path,
    quick: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1}))
    assert main(command("sft", llama, pairs, tmp_path / "out", quick)) == 1
    assert "MiB free and the run needs" in capsys.readouterr().err


def test_a_disk_that_fills_up_leaves_nothing_half_written(
    llama: Path,
    pairs: Path,
    quick: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A limit on the size of a file stands for the full disk: both end a write midway."""
    words = command("sft", llama, pairs, tmp_path / "out", quick)
    limited = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); "
        f"from usermirror_training.__main__ import main; sys.exit(main({words!r}))"
    )
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    ended = subprocess.run(
        [sys.executable, "-c", limited], env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 1
    assert "cannot write" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()
