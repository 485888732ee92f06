"""Detection of arrays whose axes are not (examples, height, width, channels), and the transpose that fixes each."""

from collections.abc import Sequence

CHANNELS = (1, 3)
"""Channels of pictures that can be predicted: gray, or red, green and blue."""
ALPHA = 4
"""Channels of pictures with transparency."""


def examples_elsewhere(shape: Sequence[int], m: int) -> str | None:
    """The fix for an array whose ``m`` examples lie along another axis than the first; None if no other axis fits."""
    if len(shape) not in (2, 3, 4) or shape[0] == m or m not in shape:
        return None
    if shape[-1] != m:
        axis = list(shape).index(m)
        order = [axis, *(other for other in range(len(shape)) if other != axis)]
        return f"found the examples on axis {axis} of {tuple(shape)}; expected them first: {_transposed(shape, order)}"
    reversed_axes = list(range(len(shape)))[::-1]
    last_first = [len(shape) - 1, *range(len(shape) - 1)]
    if len(shape) == 2:
        return f"found an example in each column of {tuple(shape)}; expected one in each row: save x.T"
    channels_last = len(shape) == 4 and shape[2] in CHANNELS and shape[0] not in CHANNELS
    if channels_last:
        return f"found the examples on the last axis of {tuple(shape)}; expected them first: " + _transposed(
            shape, last_first
        )
    either = "" if len(shape) == 4 else f", or {_transposed(shape, last_first)} if Python wrote it"
    return (
        f"found axes in reverse, {tuple(shape)}, as MATLAB writes them; expected the examples first: "
        f"{_transposed(shape, reversed_axes)}{either}"
    )


def is_picture(image_shape: Sequence[int]) -> bool:
    """True for the shape of a picture that can be shown and predicted: (h, w), (h, w, 1) or (h, w, 3)."""
    return len(image_shape) == 2 or (len(image_shape) == 3 and image_shape[2] in CHANNELS)


def picture_warning(image_shape: Sequence[int], matlab: bool) -> str | None:
    """A warning about examples of this shape, with the fix; ``matlab`` is True for a file that MATLAB wrote.

    A model can be trained on any shape, but predicts pictures only if its examples have the shape of one.
    """
    shape = tuple(image_shape)
    if is_picture(shape):
        if not matlab:
            return None
        order = "x.transpose(0, 2, 1)" if len(shape) == 2 else "x.transpose(0, 2, 1, 3)"
        return (
            "found an array of MATLAB's, whose axes are in reverse here: if its pictures lie on their side, save "
            f"{order}"
        )
    no_pictures = "of which a model takes no pictures: expected (h, w), (h, w, 1) or (h, w, 3)"
    if shape[0] in (*CHANNELS, ALPHA) and min(shape[1:]) > shape[0]:
        without = ", then [..., :3] to leave the transparency out" if shape[0] == ALPHA else ""
        # MATLAB's (h, w, c, m) is (m, c, w, h) here.
        return (
            f"found examples of shape {shape}, channels first, {no_pictures}; save x.transpose(0, 2, 3, 1), or "
            f"x.transpose(0, 3, 2, 1) if MATLAB wrote it{without}"
        )
    if shape[2] == ALPHA:
        return f"found examples of shape {shape}, with transparency, {no_pictures}; save x[..., :3]"
    return f"found examples of shape {shape}, {no_pictures}"


def _transposed(shape: Sequence[int], order: Sequence[int]) -> str:
    return f"save x.transpose({', '.join(map(str, order))}), of shape {tuple(shape[axis] for axis in order)}"
