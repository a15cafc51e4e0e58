"""A chat completions server for the tests: llama.cpp's own, with a demo model.

The first line on standard output is the port. The server leaves when its standard input closes,
so a test that is killed leaves nothing behind, or on a signal.

    PYTHONPATH=.servers python3 tests/servers/chat.py models/weak < pipe
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import gguf_model
import xllamacpp


def serve(folder: Path, slots: int) -> xllamacpp.Server:
    """Starts a server of the model in `folder`."""
    context = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    options = xllamacpp.CommonParams()
    options.model_alias = {folder.name}
    options.port = 0
    options.n_parallel = slots
    options.n_ctx = slots * context
    # The engine's own keys and values are fp32; the default would round them.
    options.cache_type_k = options.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    options.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    options.cpuparams.n_threads = 1
    # Gone once it is loaded: a killed server leaves no file either.
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, "model.gguf")
        gguf_model.write(folder, file)
        options.model.path = str(file)
        return xllamacpp.Server(options)


def main() -> None:
    """Serves until standard input closes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the model, in fp32")
    parser.add_argument("--slots", type=int, default=4, help="most completions of one request")
    arguments = parser.parse_args()
    server = serve(arguments.folder, arguments.slots)
    print(urlsplit(server.listening_address).port, flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
