"""The training stage of usermirror: fine-tuning on its preference pairs, and export to ONNX.

All files are local and progress is shown by us: the libraries are told so before they are loaded.
"""

import os

for _name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "TQDM_DISABLE"):
    os.environ[_name] = "1"
