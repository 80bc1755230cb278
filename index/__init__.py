"""What can be searched: encoder, dense (FAISS), lexical (BM25), late interaction, fusion, snapshots."""

import os

# onnxruntime writes a device id into the home folder and reports its use when it is imported; only a variable that is
# there before the import keeps it from doing so.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# The matrix products here are small: a second BLAS thread makes them slower on busy cores (late interaction over 210
# chunks: 26 ms with one, 56 to 95 ms with two). Several questions at once are what keeps several cores busy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
