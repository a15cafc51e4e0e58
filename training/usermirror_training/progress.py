"""How a run goes: a line a few steps on the terminal, and the same as JSON lines."""

import json
import time
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

SHOWN = {
    "loss": "loss",
    "rewards/accuracies": "pairs right",
    "rewards/margins": "margin",
    "reward": "reward",
}
"""What the terminal shows, of all that is logged, and under what name."""


class Progress(TrainerCallback):
    """Logs to the terminal with the time left, and to `path` as JSON lines."""

    def __init__(self, stage: str, path: Path) -> None:
        self.stage = stage
        self.path = path
        self.begun = time.monotonic()
        self.first_step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Forgets what an earlier, killed run logged after its last checkpoint."""
        self.begun, self.first_step = time.monotonic(), state.global_step
        if state.is_world_process_zero:
            kept = [line for line in read(self.path) if line["step"] <= state.global_step]
            self.path.write_text("".join(f"{json.dumps(line)}\n" for line in kept))
            resumed = f" from step {state.global_step}" if state.global_step else ""
            print(f"{self.stage}: {state.max_steps} steps{resumed}", flush=True)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Writes one line each."""
        if not logs or "loss" not in logs or not state.is_world_process_zero:
            return
        seconds = time.monotonic() - self.begun
        line = {"step": state.global_step, "seconds": round(seconds, 1)}
        line |= {key: float(value) for key, value in logs.items()}
        with self.path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")
        shown = [f"{name} {line[key]:.3f}" for key, name in SHOWN.items() if key in line]
        done = state.global_step - self.first_step
        left = seconds / done * (state.max_steps - state.global_step)
        where = f"{self.stage} {state.global_step}/{state.max_steps}"
        print(f"{where}  {'  '.join(shown)}  ETA {_clock(left)}", flush=True)


def read(path: Path) -> list[dict[str, float]]:
    """The lines logged so far; a last one that a kill cut short is left out."""
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
