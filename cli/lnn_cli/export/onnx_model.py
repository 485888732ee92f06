"""A trained model as ONNX: the same operations that ``lnn.network`` performs, in the same precision.

Input ``X`` is (examples, n), standardized; output ``probabilities`` is (examples, units of the output). ONNX has
examples as rows where the network has them as columns, so weights are stored transposed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from lnn.models.model_file import Model
from lnn.network.activations import GELU_CUBE, GELU_SCALE, LEAK
from lnn_cli.export.needs import need

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

OPSET = 17
"""Of 2022: every runtime of the last years reads it."""
INPUT, OUTPUT = "X", "probabilities"

_SINGLE_OPERATORS = {"sigmoid": "Sigmoid", "relu": "Relu", "tanh": "Tanh"}

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
    """The bytes of an ONNX file. Raises CliError when the package ``onnx`` is not installed."""
    onnx = need("onnx", "onnx", "an export to ONNX")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    dtype = model.parameters[0][0].dtype
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    A = INPUT
    for layer, ((W, b), activation) in enumerate(zip(model.parameters, model.activations, strict=True), start=1):
        constants += [
            numpy_helper.from_array(np.ascontiguousarray(W.T), f"W{layer}"),
            numpy_helper.from_array(b[:, 0], f"b{layer}"),
        ]
        nodes.append(helper.make_node("MatMul", [A, f"W{layer}"], [f"WA{layer}"]))
        nodes.append(helper.make_node("Add", [f"WA{layer}", f"b{layer}"], [f"Z{layer}"]))
        A = OUTPUT if layer == len(model.parameters) else f"A{layer}"
        nodes += _activation(helper, activation, f"Z{layer}", A)
    used = {name for node in nodes for name in node.input} & set(_CONSTANTS)
    constants += [numpy_helper.from_array(np.array(_CONSTANTS[name], dtype), name) for name in sorted(used)]
    units = len(model.parameters[-1][0])
    graph = helper.make_graph(
        nodes,
        "lnn",
        [helper.make_tensor_value_info(INPUT, kind, ["examples", model.features])],
        [helper.make_tensor_value_info(OUTPUT, kind, ["examples", units])],
        constants,
    )
    made = helper.make_model(
        graph, producer_name="lnn", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=onnx.IR_VERSION_2021_7_30
    )
    helper.set_model_props(made, properties(model))
    onnx.checker.check_model(made, full_check=True)
    encoded: bytes = made.SerializeToString()
    return encoded


def properties(model: Model) -> dict[str, str]:
    """What a user of the weights must know besides them: how to prepare an input, and what the outputs mean."""
    return {
        "run_id": model.run_id,
        "activations": json.dumps(model.activations),
        "list_classes": json.dumps(model.list_classes),
        "image_shape": json.dumps(model.image_shape),
        "scale": repr(model.scale),
        "value_range": json.dumps(model.value_range),
        "input": "examples as rows, C order, divided by scale",
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
