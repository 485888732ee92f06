"""The neural network itself: numpy only, no I/O, small enough to read in one sitting.

Read it in this order: ``activations``, ``losses``, ``layers`` (forward beside backward), ``model``
(the layers in a row, and one training step); then ``initializers``, ``optimizers``, ``schedules``, ``batches``.

Shapes, everywhere: ``m`` examples are columns, so the input ``X`` is (n, m), an activation ``A`` is
(units, m), a weight matrix ``W`` is (units, units of the layer before) and a bias ``b`` is (units, 1).
Every function works on any block of a layer's rows, so that one neuron and a whole network run the same code.
"""

from lnn.network.activations import ACTIVATIONS, Activation, softmax
from lnn.network.batches import batch_slices, take_examples
from lnn.network.clipping import Clipping, sum_of_squares
from lnn.network.dropout import Dropout, Masks
from lnn.network.initializers import INITIALIZERS, init_parameters
from lnn.network.layers import linear_backward, linear_forward, penalty, propagate_delta
from lnn.network.losses import (
    CROSS_ENTROPY,
    LINEAR,
    OUTPUT_ACTIVATIONS,
    REGRESSION_LOSSES,
    Loss,
    balanced_weights,
    binary_cross_entropy,
    categorical_cross_entropy,
    cost_from_logits,
    output_activation,
    output_delta,
)
from lnn.network.metrics import (
    Errors,
    Tally,
    accuracy,
    added,
    class_counts,
    correct_count,
    error_sums,
    errors,
    predicted_classes,
    variation_of,
)
from lnn.network.model import (
    ForwardPass,
    Network,
    arrays_of,
    batch_tally,
    differentiate_above,
    dropped_out,
    new_slots,
    output_above,
    tally_above,
    tally_of_output,
    train_step,
    update,
)
from lnn.network.optimizers import CONSTANTS, OPTIMIZERS, Optimizer
from lnn.network.schedules import SCHEDULES, Schedule

__all__ = [
    "ACTIVATIONS",
    "CONSTANTS",
    "CROSS_ENTROPY",
    "INITIALIZERS",
    "LINEAR",
    "OPTIMIZERS",
    "OUTPUT_ACTIVATIONS",
    "REGRESSION_LOSSES",
    "SCHEDULES",
    "Activation",
    "Clipping",
    "Dropout",
    "Errors",
    "ForwardPass",
    "Loss",
    "Masks",
    "Network",
    "Optimizer",
    "Schedule",
    "Tally",
    "accuracy",
    "added",
    "arrays_of",
    "balanced_weights",
    "batch_slices",
    "batch_tally",
    "binary_cross_entropy",
    "categorical_cross_entropy",
    "class_counts",
    "correct_count",
    "cost_from_logits",
    "differentiate_above",
    "dropped_out",
    "error_sums",
    "errors",
    "init_parameters",
    "linear_backward",
    "linear_forward",
    "new_slots",
    "output_above",
    "output_activation",
    "output_delta",
    "penalty",
    "predicted_classes",
    "propagate_delta",
    "softmax",
    "sum_of_squares",
    "take_examples",
    "tally_above",
    "tally_of_output",
    "train_step",
    "update",
    "variation_of",
]
