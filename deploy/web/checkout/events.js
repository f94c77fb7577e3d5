// One websocket for the news of all open orders. While no order is open there is nothing to hear, and no socket.

import { greater } from "./orders.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10 * 1000;
const HANDSHAKE_MS = 10 * 1000;
const STAY_OVER = 4001;
const TOO_OLD = 4003; // what happened since our last event is not all there any more

/** @typedef {"idle" | "connecting" | "live" | "reconnecting"} SocketState */

export class Events {
  /**
   * @param {object} parts
   * @param {(url: string, protocol: string) => WebSocket} parts.open
   * @param {() => Promise<string | null>} parts.url gives one with a fresh ticket
   * @param {(event: any) => void} parts.heard
   * @param {(state: SocketState) => void} parts.state
   */
  constructor({ open, url, heard, state }) {
    this.open = open;
    this.url = url;
    this.heard = heard;
    this.tell = state;
    /** @type {SocketState} */
    this.now = "idle";
    /** @type {WebSocket | null} */
    this.socket = null;
    this.wanted = false;
    this.asking = false;
    this.last = "";
    this.wait = FIRST_WAIT_MS;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.handshake = undefined;
  }

  /** An order is open: be connected. @param {string | null} [url] with a fresh ticket, if there is one at hand */
  want(url) {
    if (!this.wanted) {
      this.wanted = true;
      this.wait = FIRST_WAIT_MS;
      this.enter("connecting");
    }
    if (!this.socket && this.timer === undefined) this.connect(url);
  }

  /** Nothing is open any more. */
  rest() {
    this.wanted = false;
    this.hangUp();
    this.enter("idle");
  }

  /** Another buyer: what was heard counts no more. */
  forget() {
    this.rest();
    this.last = "";
  }

  /** The network has changed: the socket, if any, may be dead without a word. */
  again() {
    if (!this.wanted) return;
    this.hangUp();
    this.wait = FIRST_WAIT_MS;
    this.enter("reconnecting");
    this.connect();
  }

  /** @param {SocketState} state */
  enter(state) {
    if (this.now === state) return;
    this.now = state;
    this.tell(state);
  }

  hangUp() {
    clearTimeout(this.timer);
    clearTimeout(this.handshake);
    this.timer = undefined;
    const socket = this.socket;
    this.socket = null; // its last events are for nobody
    socket?.close(1000);
  }

  /** @param {string | null} [fresh] */
  async connect(fresh) {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (!fresh) {
      if (this.asking) return;
      this.asking = true;
      fresh = await this.url().catch(() => null);
      this.asking = false;
    }
    if (!this.wanted || this.socket) return;
    if (fresh) this.dial(fresh);
    else this.later();
  }

  /** @param {string} url */
  dial(url) {
    const resume = this.last ? `${url.includes("?") ? "&" : "?"}last_event_id=${this.last}` : "";
    /** @type {WebSocket} */
    let socket;
    try {
      socket = this.open(url + resume, "cloudevents.json");
    } catch {
      this.later();
      return;
    }
    this.socket = socket;
    this.handshake = setTimeout(() => this.lost(socket, 0), HANDSHAKE_MS);
    socket.onopen = () => {
      if (this.socket !== socket) return;
      clearTimeout(this.handshake);
      this.wait = FIRST_WAIT_MS;
      this.enter("live");
    };
    socket.onmessage = ({ data }) => {
      if (this.socket === socket) this.take(data);
    };
    socket.onclose = ({ code }) => this.lost(socket, code);
  }

  /** @param {WebSocket} socket @param {number} code */
  lost(socket, code) {
    if (this.socket !== socket) return;
    clearTimeout(this.handshake);
    this.socket = null;
    socket.onclose = null;
    socket.close();
    if (!this.wanted) return;
    if (code === STAY_OVER) {
      this.connect(); // as agreed: only the ticket is new
      return;
    }
    if (code === TOO_OLD) this.last = ""; // its open orders come first then
    this.enter("reconnecting");
    this.later();
  }

  later() {
    const wait = this.wait * (0.75 + Math.random() / 2);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (this.wanted && !this.socket) this.connect();
    }, wait);
  }

  /** @param {any} text */
  take(text) {
    let event;
    try {
      event = JSON.parse(text);
    } catch {
      return;
    }
    if (/^\d{1,19}$/.test(event?.id)) this.last = this.last ? greater(this.last, event.id) : event.id;
    if (event?.data) this.heard(event);
  }
}
