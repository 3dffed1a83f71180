// A button that puts a file of the person's into ComfyUI's input folder, and chooses it.
import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { make } from "./dom.js";
import { rememberStep } from "./node.js";

/**
 * @param {string} name of the widget that chooses among files
 * @param {string} accept suffixes, with commas between
 */
export function addUpload(node, name, accept) {
  const widget = node.widgets.find((one) => one.name === name);
  const picker = make("input", { type: "file", accept });
  const send = async (file) => {
    const body = new FormData();
    body.append("image", file); // what ComfyUI's route calls every file
    const answer = await api.fetchApi("/upload/image", { method: "POST", body }).catch((error) => ({ error }));
    if (!answer.ok) {
      const why = answer.error?.message ?? answer.status;
      app.extensionManager?.toast?.add({ severity: "error", summary: "Upload", detail: `The file was not taken: ${why}` });
      return;
    }
    const { name: stored } = await answer.json();
    if (!widget.options.values.includes(stored)) widget.options.values.push(stored);
    widget.value = stored;
    widget.callback?.(stored);
    rememberStep(app);
  };
  picker.addEventListener("change", () => {
    if (picker.files.length) send(picker.files[0]);
    picker.value = "";
  });
  const button = node.addWidget("button", "upload", "", () => picker.click(), { serialize: false });
  button.label = "choose a file to upload";
  button.serialize = false;
  node.higgsUpload = send;
}
