// The connection to the server: one WebSocket, uploads beside it, and coming back after it broke.

const IDLE = 4000, TOO_MANY = 4001, RETRY_MS = 2000;

/** Calls `on[type](message, blob)` for what the server says, and `on.down(reason)` where the connection ends. */
export class Link {
  constructor(on) {
    this.on = on;
    this.session = null;
    this.connect();
  }

  connect() {
    const socket = new WebSocket(new URL("live", location.href).href.replace(/^http/, "ws"));
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = (event) => {
      this.session = null;
      const reason = event.code === IDLE ? "idle" : event.code === TOO_MANY ? "many" : "lost";
      this.on.down(reason);
      if (reason === "lost") setTimeout(() => this.connect(), RETRY_MS);
    };
    this.socket = socket;
  }

  receive(data) {
    let message, jpeg = null;
    if (typeof data === "string") {
      message = JSON.parse(data);
    } else {
      const length = new DataView(data).getUint16(0);
      message = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 2, length)));
      jpeg = new Blob([new Uint8Array(data, 2 + length)], { type: "image/jpeg" });
    }
    if (message.type === "hello") this.session = message.session;
    this.on[message.type]?.(message, jpeg);
  }

  /** Says something; what is said while nobody listens is lost, and asked for again when the photo is back. */
  say(type, more = {}) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type, ...more }));
  }

  url(path) {
    return new URL(`${this.session}/${path}`, location.href).href;
  }

  /** Sends a photo; throws {message, hint} with what is wrong with it. */
  async post(path, body, name) {
    if (!this.session) throw { message: "The server cannot be reached.", hint: "Is facemotion ui still running?" };
    let answer;
    try {
      const headers = name ? { "X-File-Name": encodeURIComponent(name) } : {};
      answer = await fetch(this.url(path), { method: "POST", body, headers });
    } catch {
      throw { message: "The photo could not be handed over.", hint: "Is the file still there, and facemotion ui running?" };
    }
    if (answer.ok) return answer.json();
    if (answer.status === 422) throw await answer.json();
    throw { message: "The server did not take the photo.", hint: "Load the page again." };
  }
}
