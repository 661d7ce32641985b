// Live tail: a web socket that brings lines as they come. When it breaks, it is opened again where it stood; until then, lines
// are asked for now and then: some browsers send no password with a web socket.

import { HERE, Refused, ask, asksForLess, lines as read, unseen } from "./api.js";

const FIRST_MAX = 5000; // Lines that may have come since the last one that is shown (count).
const AGAIN_AFTER = [500, 1000, 2000, 5000]; // Before another attempt (ms).

export class Tail {
  /** `come(lines)` gets new lines, the newest first; `said(text)` what there is to say of the connection. */
  constructor({ come, said }) {
    Object.assign(this, { come, said, socket: null, failed: 0, timer: 0, limit: FIRST_MAX, answered: false });
  }

  /** Begins behind the newest of these lines; if there is none, at a time (nanoseconds), whatever the browser's clock says. */
  start(query, lines, from) {
    this.stop();
    this.query = query;
    const newest = lines[0]?.time ?? from;
    // Lines of the very same moment may be still to come.
    this.last = lines.filter((line) => line.time === newest);
    this.newest = newest;
    this.answered = false;
    this.open();
  }

  open() {
    const address = new URL("loki/api/v1/tail", HERE);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    address.search = new URLSearchParams({
      query: this.query, start: this.newest, limit: this.limit, encodingFlags: "categorize-labels",
    });
    const socket = new WebSocket(address);
    this.socket = socket;
    socket.onopen = () => {
      this.answered = false;
      this.said("live");
    };
    socket.onmessage = ({ data }) => {
      this.failed = 0;
      const frame = JSON.parse(data);
      if (frame.dropped_entries?.length) this.said(`live; ${frame.dropped_entries.length} or more lines came too fast and are left out`);
      this.take(read(frame.streams ?? []));
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      const after = AGAIN_AFTER[Math.min(this.failed, AGAIN_AFTER.length - 1)];
      this.failed += 1;
      // Where lines come without it, an attempt that fails is nothing new.
      if (!this.answered) this.said("not connected; trying again");
      this.timer = setTimeout(() => this.again(socket), after);
    };
  }

  /** Asks for what has come, and tries the web socket once more. */
  async again(socket) {
    try {
      for (let full = true; full; ) {
        const data = await ask("query_range", { query: this.query, start: this.newest, limit: this.limit, direction: "forward" });
        if (this.socket !== socket) return;
        const lines = read(data.result);
        full = this.take(lines) && lines.length >= this.limit;
      }
      this.answered = true;
      this.said("live, every few seconds");
    } catch (error) {
      if (this.socket !== socket) return;
      this.answered = false;
      if (asksForLess(error) && this.limit > 1) {
        this.limit = Math.ceil(this.limit / 4);
        return this.again(socket);
      }
      // Where nobody answers, the web socket will say when the agent is there again.
      this.said(error instanceof Refused && error.status ? error.message : "not connected; trying again");
    }
    if (this.socket === socket) this.open();
  }

  /** Hands on lines that were not there yet, and says whether there are any. */
  take(lines) {
    const found = unseen(lines, this.last);
    if (!found.length) return false;
    if (found[0].time >= this.newest) this.newest = found[0].time;
    this.last = this.last.concat(found).filter((line) => line.time === this.newest);
    this.come(found);
    return true;
  }

  stop() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  get isOn() {
    return this.socket !== null;
  }
}
