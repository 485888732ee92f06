"""A trained model as safetensors: the arrays of ``params.h5`` under the same names, bit for bit."""

import numpy as np

from lnn.models.model_file import Model
from lnn_client.needs import need
from lnn_client.onnx_model import properties


def encode_safetensors(model: Model) -> bytes:
    """The bytes of a safetensors file: W1, b1, ... Raises MissingPackage without the package."""
    library = need("safetensors.numpy", "safetensors", "an export to safetensors")
    arrays = {}
    for layer, (W, b) in enumerate(model.parameters, start=1):
        arrays[f"W{layer}"], arrays[f"b{layer}"] = np.ascontiguousarray(W), np.ascontiguousarray(b)
    encoded: bytes = library.save(arrays, metadata=properties(model))
    return encoded
