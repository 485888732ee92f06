"""A trained model as ONNX: the same operations that ``lnn.network`` performs, in the same precision.

Input ``X`` is (examples, n), standardized; output ``probabilities``, of regression ``values``, is (examples, units of
the output). ONNX has examples as rows where the network has them as columns, so weights are stored transposed.

A model that was trained on a table has its means and scales in the graph. Its ``X`` is in float64: numbers as the table
has them, booleans as 0 or 1, categories one-hot.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn.data.preprocessing import PREPROCESSING, Preprocessing
from lnn.models.model_file import Model
from lnn.network import LINEAR
from lnn.network.activations import GELU_CUBE, GELU_SCALE, LEAK
from lnn_client.needs import need

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import NodeProto, TensorProto

OPSET = 17
"""Of 2022: every runtime of the last years reads it."""
INPUT, OUTPUT, NUMBERS = "X", "probabilities", "values"

_SINGLE_OPERATORS = {LINEAR: "Identity", "sigmoid": "Sigmoid", "relu": "Relu", "tanh": "Tanh"}

_FORMULAS: dict[str, list[tuple[str, str, str]]] = {
    # As the network computes it; ONNX's own LeakyRelu and Elu are missing in float64 in some runtimes.
    "leaky_relu": [("Mul", "Z leak", "leaking"), ("Max", "Z leaking", "A")],
    "elu": [
        ("Max", "Z zero", "above"),
        ("Min", "Z zero", "below"),
        ("Exp", "below", "power"),
        ("Sub", "power one", "bent"),
        ("Add", "above bent", "A"),
    ],
    # ONNX has Gelu from opset 20 on only.
    "gelu": [
        ("Mul", "Z Z", "square"),
        ("Mul", "square cube", "scaled"),
        ("Add", "scaled one", "factor"),
        ("Mul", "Z factor", "inner"),
        ("Mul", "inner scale", "argument"),
        ("Tanh", "argument", "t"),
        ("Add", "t one", "sum"),
        ("Mul", "Z half", "halved"),
        ("Mul", "halved sum", "A"),
    ],
    "silu": [("Sigmoid", "Z", "gate"), ("Mul", "Z gate", "A")],
}
"""Activations of several operators, one after the other: (operator, inputs, output)."""

_CONSTANTS = {"leak": LEAK, "zero": 0.0, "one": 1.0, "half": 0.5, "cube": GELU_CUBE, "scale": GELU_SCALE}


def encode_onnx(model: Model) -> bytes:
    """The bytes of an ONNX file. Raises MissingPackage without the package ``onnx``."""
    onnx = need("onnx", "onnx", "an export to ONNX")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    dtype = model.parameters[0][0].dtype
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    output = NUMBERS if model.list_targets else OUTPUT
    A, input_kind = INPUT, kind
    if model.preprocessing is not None:
        A, input_kind = "standardized", onnx.TensorProto.DOUBLE
        constants += [numpy_helper.from_array(values, name) for name, values in _statistics(model.preprocessing)]
        # In float64 as in the library: the mean may be large beside the scale.
        nodes += [
            helper.make_node("Sub", [INPUT, "means"], ["centered"]),
            helper.make_node("Div", ["centered", "scales"], ["scaled"]),
            helper.make_node("Cast", ["scaled"], [A], to=kind),
        ]
    for layer, ((W, b), activation) in enumerate(zip(model.parameters, model.activations, strict=True), start=1):
        constants += [
            numpy_helper.from_array(np.ascontiguousarray(W.T), f"W{layer}"),
            numpy_helper.from_array(b[:, 0], f"b{layer}"),
        ]
        nodes.append(helper.make_node("MatMul", [A, f"W{layer}"], [f"WA{layer}"]))
        nodes.append(helper.make_node("Add", [f"WA{layer}", f"b{layer}"], [f"Z{layer}"]))
        A = output if layer == len(model.parameters) else f"A{layer}"
        nodes += _activation(helper, activation, f"Z{layer}", A)
    used = {name for node in nodes for name in node.input} & set(_CONSTANTS)
    constants += [numpy_helper.from_array(np.array(_CONSTANTS[name], dtype), name) for name in sorted(used)]
    units = len(model.parameters[-1][0])
    graph = helper.make_graph(
        nodes,
        "lnn",
        [helper.make_tensor_value_info(INPUT, input_kind, ["examples", model.features])],
        [helper.make_tensor_value_info(output, kind, ["examples", units])],
        constants,
    )
    made = helper.make_model(
        graph, producer_name="lnn", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=onnx.IR_VERSION_2021_7_30
    )
    helper.set_model_props(made, properties(model, standardizes=True))
    onnx.checker.check_model(made, full_check=True)
    encoded: bytes = made.SerializeToString()
    return encoded


def _statistics(preprocessing: Preprocessing) -> list[tuple[str, NDArray[np.float64]]]:
    """What is subtracted from each feature, and what it is divided by then, (n,)."""
    columns = [column for column in preprocessing.columns for _ in column.features]
    return [
        ("means", np.array([column.mean for column in columns])),
        ("scales", np.array([column.scale for column in columns])),
    ]


def properties(model: Model, *, standardizes: bool = False) -> dict[str, str]:
    """What a user of the weights must know besides them: how to prepare an input, and what the outputs mean.

    ``standardizes`` says that the graph applies a table's means and scales itself.
    """
    told = "examples as rows, C order, divided by scale"
    table: dict[str, str] = {}
    if model.preprocessing is not None:
        table = {
            "features": json.dumps(model.preprocessing.features),
            PREPROCESSING: model.preprocessing.encode().tobytes().decode(),
        }
        told = "rows of a table as the features that are named: numbers " + (
            "as the table has them" if standardizes else "less mean, divided by scale, of their column in preprocessing"
        ) + ", booleans 0 or 1, categories one-hot"  # fmt: skip
    return {
        **table,
        "run_id": model.run_id,
        "activations": json.dumps(model.activations),
        "list_classes": json.dumps(model.list_classes),
        "list_targets": json.dumps(model.list_targets),
        "image_shape": json.dumps(model.image_shape),
        "scale": repr(model.scale),
        "value_range": json.dumps(model.value_range),
        "input": told,
    }


def _activation(helper: Any, name: str, Z: str, A: str) -> list[NodeProto]:
    if name == "softmax":
        return [helper.make_node("Softmax", [Z], [A], axis=1)]
    if name in _FORMULAS:
        names = {"Z": Z, "A": A, **{constant: constant for constant in _CONSTANTS}}
        return [
            helper.make_node(
                operator, [names.get(one, f"{one}_{Z}") for one in inputs.split()], [names.get(out, f"{out}_{Z}")]
            )
            for operator, inputs, out in _FORMULAS[name]
        ]
    return [helper.make_node(_SINGLE_OPERATORS[name], [Z], [A])]
