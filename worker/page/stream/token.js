// The token that opens a stream: from the address, or minted by /api/fal, where a key may be asked
// for. A token is kept for this tab at most, a key in memory only.

const STORED = "framewire.token";

/** `passing`: asking again later may help. */
export class TokenRefused extends Error {
  constructor(reason, { passing = false } = {}) {
    super(reason);
    this.passing = passing;
  }
}

export class Tokens {
  #page;
  #askForKey;
  #store;
  #key = "";
  #given;

  /**
   * @param page what `/page.json` says.
   * @param {(why: string) => Promise<string>} askForKey an empty text where there is none.
   * @param {string} given a token from the address.
   */
  constructor(page, askForKey, given, store = sessionStorage) {
    this.#page = page;
    this.#askForKey = askForKey;
    this.#store = store;
    if (given) store.setItem(STORED, given);
    this.#given = store.getItem(STORED) ?? "";
  }

  /**
   * A token, or an empty text where none is needed.
   *
   * @throws {TokenRefused} none can be had; the message says why.
   */
  async get() {
    if (this.#page.hosted) return this.#mint();
    if (!this.#page.auth) return "";
    if (this.#given && !this.#key) return this.#given;
    return this.#mint();
  }

  /** The token was not accepted: another is needed. Whether one can be had by asking again. */
  forget() {
    const had = this.#given !== "" || this.#key !== "";
    this.#given = this.#key = "";
    this.#store.removeItem(STORED);
    return had;
  }

  async #mint(why = "") {
    if (this.#page.auth && !this.#key && !(this.#page.hosted && this.#given)) {
      this.#key = await this.#askForKey(why);
      if (!this.#key) throw new TokenRefused("no key was given");
    }
    const answer = await fetch("/api/fal", {
      method: "POST",
      headers: { "content-type": "application/json", ...this.#credential() },
      body: JSON.stringify({ allowed_apps: [this.#page.alias] }),
    });
    const said = await answer.json().catch(() => ({}));
    if (answer.ok && typeof said.token === "string") return said.token;
    const reason = wordsOf(said) || `HTTP ${answer.status}`;
    if (this.#page.auth && [401, 403].includes(answer.status)) {
      this.forget();
      return this.#mint(reason);
    }
    throw new TokenRefused(reason, { passing: answer.status === 429 || answer.status >= 500 });
  }

  #credential() {
    if (this.#key) return { authorization: `Key ${this.#key}` };
    return this.#given ? { authorization: `Bearer ${this.#given}` } : {};
  }
}

function wordsOf(said) {
  const words = said?.detail ?? said?.error ?? said?.reason;
  return typeof words === "string" ? words : "";
}
