// A prompt made longer by the worker's language model, where its operator has set one up.

/**
 * @param {string} prompt
 * @param {string} token where one is needed.
 * @returns {Promise<string>} the longer one.
 * @throws {Error} in words: there is none.
 */
export async function expanded(prompt, token) {
  const answer = await fetch("/prompt/expand", {
    method: "POST",
    headers: { "content-type": "application/json", ...(token ? { authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify({ prompt }),
  });
  const said = await answer.json().catch(() => ({}));
  if (answer.ok && typeof said.prompt === "string") return said.prompt;
  throw new Error(typeof said.detail === "string" ? said.detail : `HTTP ${answer.status}`);
}
