// News of our orders by websocket. While no order is open there is nothing to hear, and no socket.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 10000;

export class News {
  // heard(event data with sequence); state("live" | "idle" | "polling"); freshUrl(): a new events_url or null
  constructor({ heard, state, freshUrl }) {
    Object.assign(this, { heard, state, freshUrl });
    this.socket = null;
    this.wanted = false;
    this.wait = FIRST_WAIT;
    state("idle");
  }

  get open() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  // An order is open: be connected. `url` of its answer carries a fresh ticket.
  want(url) {
    this.wanted = true;
    if (!this.socket && url) this.connect(url);
  }

  rest() {
    this.wanted = false;
    this.socket?.close(1000);
  }

  connect(url) {
    const socket = new WebSocket(url, "cloudevents.json");
    this.socket = socket;
    socket.onopen = () => {
      this.wait = FIRST_WAIT;
      this.state("live");
    };
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.data) this.heard({ ...event.data, sequence: event.sequence });
    };
    socket.onclose = () => {
      this.socket = null;
      this.state(this.wanted ? "polling" : "idle");
      if (this.wanted) setTimeout(() => this.again(), this.wait * (0.75 + Math.random() / 2));
      this.wait = Math.min(this.wait * 2, LONGEST_WAIT);
    };
  }

  async again() {
    if (!this.wanted || this.socket) return;
    const url = await this.freshUrl().catch(() => null);
    if (url && !this.socket) this.connect(url);
    else if (!this.socket) setTimeout(() => this.again(), this.wait);
  }
}
