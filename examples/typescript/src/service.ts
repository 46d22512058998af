// The service: its requests, its stream, and what each way to fail means.

import WebSocket from "ws";
import type {
  Acknowledgement,
  EventsMessage,
  InitResponse,
  NoticeMessage,
  Problem,
  SnapshotDataRequest,
  StreamError,
  StreamQuery,
} from "./generated.js";

export type Row = Record<string, unknown>;

/** Every frame of a stream has exactly one of `events`, `notice` and `error`. */
type Frame = EventsMessage | NoticeMessage | StreamError;

/** The service pings an idle client several times in this time: one that hears nothing has lost its connection. */
const SILENCE_MS = 60_000;

/** A request was refused, and the service says why. */
export class Refused extends Error {
  constructor(readonly problem: Problem) {
    super(`${problem.status} ${problem.code}: ${problem.detail}`);
  }
}

/** An acknowledgement was not accepted. */
export class NotAccepted extends Error {
  constructor(readonly answer: StreamError) {
    super(`${answer.code}: ${answer.error}`);
  }
}

/** The stream was closed. */
export class Closed extends Error {
  constructor(
    readonly code: number,
    reason: string,
  ) {
    super(`the stream was closed: ${code} ${reason}`);
  }
}

/** Nobody answered, or the answer broke off. */
export class Unreachable extends Error {}

/** What to do about an error. */
export function remedy(error: unknown): "try again" | "start over" | "give up" {
  if (error instanceof Refused) {
    const { status, code } = error.problem;
    if (status === 410 || code === "no_such_stream") return "start over";
    return [409, 429, 503].includes(status) ? "try again" : "give up";
  }
  if (error instanceof Closed) {
    // 4409: somebody else has the stream, and to connect again would take it back from them.
    return error.code === 4409 ? "give up" : error.code === 4410 ? "start over" : "try again";
  }
  if (error instanceof NotAccepted) return error.answer.code === "postgres_unavailable" ? "try again" : "give up";
  return error instanceof Unreachable ? "try again" : "give up";
}

export class Service {
  constructor(
    private readonly url: string,
    private readonly stop: AbortSignal,
  ) {}

  async init(): Promise<InitResponse> {
    return (await this.post("/v1/init")) as InitResponse;
  }

  async rows(request: SnapshotDataRequest): Promise<Row[]> {
    return (await this.post("/v1/snapshot/data", request)) as Row[];
  }

  /** Hands over each message of the stream and sends what comes back, until an error ends it; a close is one. */
  follow(query: StreamQuery, receive: (message: EventsMessage) => Acknowledgement | undefined): Promise<never> {
    this.stop.throwIfAborted();
    const address = new URL(`/v1/lr/stream?${new URLSearchParams(Object.entries(query))}`, this.url);
    address.protocol = address.protocol.replace("http", "ws");
    return new Promise((_, reject) => {
      // The service limits the length of a message.
      const socket = new WebSocket(address, { maxPayload: 0 });
      const close = (): void => socket.close(1000);
      const silence = setTimeout(() => socket.terminate(), SILENCE_MS);
      this.stop.addEventListener("abort", close);
      socket.on("ping", () => silence.refresh());
      socket.on("message", (text) => {
        silence.refresh();
        try {
          const acknowledgement = hear(JSON.parse(text.toString()) as Frame, receive);
          if (acknowledgement) socket.send(JSON.stringify(acknowledgement));
        } catch (error) {
          // Nothing that comes after what failed may be applied.
          socket.removeAllListeners("message");
          reject(error);
          close();
        }
      });
      socket.on("unexpected-response", (request, response) => {
        const parts: Buffer[] = [];
        response.on("data", (part: Buffer) => parts.push(part));
        response.on("end", () => reject(refusal(response.statusCode, Buffer.concat(parts).toString())));
        response.on("close", () => request.destroy());
      });
      socket.on("error", (error) => reject(new Unreachable(error.message, { cause: error })));
      socket.on("close", (code, reason) => {
        clearTimeout(silence);
        this.stop.removeEventListener("abort", close);
        reject(new Closed(code, reason.toString()));
      });
    });
  }

  private async post(path: string, request?: SnapshotDataRequest): Promise<unknown> {
    const body = request ? JSON.stringify(request) : null;
    let response, text;
    try {
      response = await fetch(new URL(path, this.url), { method: "POST", body, signal: this.stop });
      // A page that breaks off breaks the connection: what ends well is whole.
      text = await response.text();
    } catch (error) {
      throw new Unreachable(`POST ${path}: ${error}`, { cause: error });
    }
    if (!response.ok) throw refusal(response.status, text);
    return JSON.parse(text);
  }
}

function hear(frame: Frame, receive: (message: EventsMessage) => Acknowledgement | undefined): Acknowledgement | undefined {
  if ("events" in frame) return receive(frame);
  if ("error" in frame) throw new NotAccepted(frame);
  console.error(`${frame.notice.code}: ${frame.notice.message}`);
  return undefined;
}

/** The service says what is wrong as a problem; something between us and it says what it likes. */
function refusal(status: number | undefined, text: string): Error {
  try {
    const problem = JSON.parse(text) as Problem;
    if (typeof problem.code === "string") return new Refused(problem);
  } catch {
    // It is no problem as the service writes them.
  }
  return new Unreachable(`${status}: ${text.slice(0, 200)}`);
}
