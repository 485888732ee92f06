// The button that saves the page with its data as one file.

import { byId } from "./text.js";

const button = byId("share");

button.addEventListener("click", async () => {
  button.disabled = true;
  byId("status").textContent = "The local server computes every epoch of the file.";
  try {
    const response = await fetch("api/share");
    if (!response.ok) throw new Error((await response.json()).error);
    const address = URL.createObjectURL(await response.blob());
    const link = document.createElement("a");
    link.href = address;
    link.download = `${document.title.split(" ")[0]}.html`;
    link.click();
    URL.revokeObjectURL(address);
    byId("status").textContent = "";
  } catch (error) {
    byId("status").textContent = `The file could not be made: ${error.message}`;
  } finally {
    button.disabled = false;
  }
});
