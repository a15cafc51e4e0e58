"""The training stage of usermirror: demo models, and their export to ONNX."""
