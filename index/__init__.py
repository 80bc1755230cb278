"""What can be searched: encoder, dense (FAISS), lexical (BM25), late interaction, fusion, snapshots."""

import os

# onnxruntime writes a device id into the home folder and reports its use when it is imported; only a variable that is
# there before the import keeps it from doing so.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
