// Questions to the pack's routes of the server.
import { api } from "../../../scripts/api.js";

/** What the server answers, to a text if there is one; {error} where it refuses or is away. */
export async function ask(route, text) {
  try {
    const answer = await api.fetchApi(route, text === undefined ? {} : { method: "POST", body: text });
    return await answer.json();
  } catch (error) {
    return { error: `The server does not answer: ${error.message}` };
  }
}

/** Stops a prompt, or takes it out of the queue: in one step where the server knows how (since 0.33). */
export async function cancelPrompt(promptId) {
  const { ok } = await api.fetchApi(`/jobs/${encodeURIComponent(promptId)}/cancel`, { method: "POST" }).catch(() => ({}));
  if (!ok) await api.interrupt(promptId); // which also says in the page when the server is away
}
