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
