// The drawing field: black ink on white paper, with mouse, pen or finger.
"use strict";

/** Share of the field's side that a line is wide: about one pixel of a picture of 8 x 8. */
const LINE = 0.1;
/** How long the pen must rest before the drawing is taken. */
const REST_MS = 500;

/** Lets people draw on the canvas; `onRest` is called when the pen rests, with a PNG of the drawing. */
function drawingField(canvas, onRest) {
  const context = canvas.getContext("2d");
  let last = null;
  let resting = 0;

  function clear() {
    clearTimeout(resting);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
  }

  function at(event) {
    const box = canvas.getBoundingClientRect();
    const scale = canvas.width / box.width;
    return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
  }

  function line(to) {
    context.strokeStyle = "#000";
    context.lineWidth = canvas.width * LINE;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...to);
    context.stroke();
    last = to;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || canvas.getAttribute("aria-disabled") === "true") return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    clearTimeout(resting);
    last = at(event);
    line(last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (last) line(at(event));
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      if (!last) return;
      last = null;
      clearTimeout(resting);
      resting = setTimeout(() => canvas.toBlob((blob) => blob && onRest(blob), "image/png"), REST_MS);
    });
  }
  clear();
  return { clear };
}
