// Keeps a durable copy of some tables up to date: their snapshot, then every change. What was applied is told on stdout, a line each.

import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Copy, type Keys } from "./copy.js";
import type { Event } from "./generated.js";
import { remedy, Service } from "./service.js";

const PAGE_ROWS = 1000;
const LONGEST_PAUSE_MS = 30_000;

const USAGE = `usage: node dist/main.js --state FILE --table SCHEMA.TABLE:KEY,… [--table …] [--url http://localhost:12312]
       node dist/main.js --state FILE --show`;

const { values } = parseArgs({
  options: {
    url: { type: "string", default: "http://localhost:12312" },
    state: { type: "string" },
    table: { type: "string", multiple: true, default: [] },
    show: { type: "boolean", default: false },
  },
});

async function main(): Promise<void> {
  if (values.state && values.show) show(values.state);
  else if (values.state && values.table.length > 0) await run(values.state, keys(values.table));
  else usage();
}

function usage(): never {
  console.error(USAGE);
  process.exit(2);
}

/** `public.orders:id` and `public.lines:order,number`: names as they are, without quotes. */
function keys(tables: string[]): Keys {
  const pairs = tables.map((table) => /^([^.]+\..+):([^:]+)$/.exec(table));
  return Object.fromEntries(
    pairs.map((pair) => {
      if (!pair?.[1] || !pair[2]) usage();
      return [pair[1], pair[2].split(",")];
    }),
  );
}

/** Prints the copy, a line a row. */
function show(file: string): void {
  const copy = Copy.open(file, "look");
  if (!copy) throw new Error(`${file} is not there yet`);
  for (const table of copy.names) {
    for (const row of copy.rows(table)) print({ table, row });
  }
}

async function run(file: string, keys: Keys): Promise<void> {
  const stopping = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopping.abort());
  const stop = stopping.signal;
  const service = new Service(values.url, stop);

  let copy = Copy.open(file, "go on");
  // A copy of other tables cannot be brought up to date: their changes were acknowledged without being in it.
  if (!copy?.isOf(keys)) copy = forget(copy);
  let failures = 0;
  while (!stop.aborted) {
    try {
      copy ??= await snapshot(service, file, keys);
      await follow(service, copy, keys, () => (failures = 0));
    } catch (error) {
      if (stop.aborted) break;
      const what = remedy(error);
      if (what === "give up") throw error;
      if (what === "start over") copy = forget(copy);
      console.error(`${error}; ${what}`);
      // Half of it is left to chance, so that many clients do not come back at once.
      const longest = Math.min(LONGEST_PAUSE_MS, 100 * 2 ** failures++);
      await pause(longest * (0.5 + Math.random() / 2), undefined, { signal: stop }).catch(() => undefined);
    }
  }
}

/** What is in the file stays there until another copy takes its place. */
function forget(copy: Copy | undefined): undefined {
  copy?.close();
}

/** Makes a slot and copies the tables as they were then. A copy that is not whole is never published: the next try makes a new slot. */
async function snapshot(service: Service, file: string, keys: Keys): Promise<Copy> {
  const { slotName } = await service.init();
  const copy = Copy.create(file, { slotName, position: null, keys });
  try {
    for (const table of Object.keys(keys)) {
      for (let offset = 0, rows; !rows || rows.length === PAGE_ROWS; offset += PAGE_ROWS) {
        rows = await service.rows({ slotName, table: quoted(table), offset, limit: PAGE_ROWS });
        copy.addRows(table, rows);
      }
    }
    copy.publish();
    return copy;
  } catch (error) {
    copy.close();
    throw error;
  }
}

async function follow(service: Service, copy: Copy, keys: Keys, progress: () => void): Promise<never> {
  const tables = Object.keys(keys).map(quoted).join(",");
  // A large transaction comes in parts. A new connection begins it again, so that what came of it before is not kept.
  let events: Event[] = [];
  // Numbers come with every digit, but JavaScript keeps only what fits a double: `numbers: "string"` is for tables that need more.
  return service.follow({ slotName: copy.slotName, format: "events", tables, messages: false }, (message) => {
    for (const event of message.events) events.push(event);
    if (!message.last || message.nextlsn === undefined) return undefined;
    const transaction = events;
    events = [];
    if (copy.apply(message.nextlsn, transaction)) {
      progress();
      tell(transaction);
    }
    return { lsn: message.nextlsn };
  });
}

/** Told only now that it is durable: to be killed between the two leaves out some lines, but no line comes twice. */
function tell(events: Event[]): void {
  for (const event of events) {
    if (event.op !== "message") print({ id: event.id, op: event.op, table: `${event.schema}.${event.table}` });
  }
}

function print(line: object): void {
  console.log(JSON.stringify(line));
}

/** A name as it is becomes one as SQL writes it. */
function quoted(table: string): string {
  const dot = table.indexOf(".");
  return [table.slice(0, dot), table.slice(dot + 1)].map((name) => `"${name.replaceAll('"', '""')}"`).join(".");
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
