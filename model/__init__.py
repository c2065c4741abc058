"""What a signal and an answer are: the contract that training writes bundles for and the service answers by."""

import os

# onnxruntime's official builds report what they run to Microsoft unless this is set before they are imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
