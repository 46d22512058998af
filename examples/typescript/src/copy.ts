// A durable copy of some tables: in memory, and in a file to which every transaction is appended before it is acknowledged.

import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { DeleteEvent, Event, UpdateEvent } from "./generated.js";
import type { Row } from "./service.js";

/** The columns that tell the rows of a table apart, by the table's name (`schema.table`). */
export type Keys = Record<string, string[]>;

/** Where the copy stands: `position` is the `nextlsn` of the last transaction in it; null: it is the snapshot. */
interface Header {
  slotName: string;
  position: string | null;
  keys: Keys;
}

/** The file is JSON lines: a header, rows, and transactions from then on. */
type Line = { header: Header } | { table: string; rows: Row[] } | { nextlsn: string; events: Event[] };

/** A file that has grown by so much and to twice its size is written anew, without what is past. */
const GROWTH_BYTES = 1024 * 1024;

export class Copy {
  private readonly tables = new Map<string, Map<string, Row>>();
  private length = 0;
  private compacted = 0;

  private constructor(
    private readonly file: string,
    private descriptor: number,
    private readonly header: Header,
  ) {
    for (const table of Object.keys(header.keys)) this.tables.set(table, new Map());
  }

  get slotName(): string {
    return this.header.slotName;
  }

  /** Whether it is a copy of just these tables. */
  isOf(keys: Keys): boolean {
    return JSON.stringify(this.header.keys) === JSON.stringify(keys);
  }

  get names(): string[] {
    return [...this.tables.keys()];
  }

  rows(table: string): Row[] {
    return [...(this.tables.get(table)?.values() ?? [])];
  }

  /** A new copy without rows. Until it is published, the one before stands in the file. */
  static create(file: string, header: Header): Copy {
    const copy = new Copy(file, openSync(`${file}.new`, "w"), { ...header });
    copy.append({ header });
    return copy;
  }

  /** The copy in the file, if there is one: to go on with, or only to look at while another process goes on with it. */
  static open(file: string, use: "go on" | "look"): Copy | undefined {
    if (!existsSync(file)) return undefined;
    const bytes = readFileSync(file);
    let copy: Copy | undefined;
    let start = 0;
    for (let end = bytes.indexOf("\n"); end >= 0; end = bytes.indexOf("\n", start)) {
      const line = JSON.parse(bytes.toString("utf8", start, end)) as Line;
      start = end + 1;
      if ("header" in line) copy = new Copy(file, openSync(file, use === "look" ? "r" : "a"), line.header);
      else if ("rows" in line) copy?.remember(line.table, line.rows);
      else copy?.change(line.nextlsn, line.events);
      if (copy && !("events" in line)) copy.compacted = start;
    }
    if (!copy) throw new Error(`${file} is not a copy of tables`);
    copy.length = start;
    if (use === "look") return copy;
    // Whoever wrote the file may have been killed in the middle of a line, which was not acknowledged then and comes again; or between a
    // line and its fsync.
    ftruncateSync(copy.descriptor, start);
    fsyncSync(copy.descriptor);
    return copy;
  }

  /** Takes the place of the copy in the file, at once and for good. */
  publish(): void {
    fsyncSync(this.descriptor);
    renameSync(`${this.file}.new`, this.file);
    const folder = openSync(dirname(this.file), "r");
    fsyncSync(folder);
    closeSync(folder);
    this.compacted = this.length;
  }

  addRows(table: string, rows: Row[]): void {
    this.remember(table, rows);
    this.append({ table, rows });
  }

  /**
   * Applies a transaction and makes it durable together with its position, or does nothing if it is in the copy already: then only its
   * acknowledgement was lost. Positions rise from transaction to transaction, so that this one comparison finds every repetition; who
   * cannot store a position with the changes has the ids of events for that, which are the same at every delivery.
   */
  apply(nextlsn: string, events: Event[]): boolean {
    const { position } = this.header;
    if (position !== null && lsn(nextlsn) <= lsn(position)) return false;
    this.change(nextlsn, events);
    this.append({ nextlsn, events });
    fsyncSync(this.descriptor);
    if (this.length > 2 * this.compacted + GROWTH_BYTES) this.compact();
    return true;
  }

  close(): void {
    closeSync(this.descriptor);
  }

  private compact(): void {
    const fresh = Copy.create(this.file, this.header);
    for (const table of this.tables.keys()) {
      for (const row of this.rows(table)) fresh.append({ table, rows: [row] });
    }
    fresh.publish();
    this.close();
    this.descriptor = fresh.descriptor;
    this.length = this.compacted = fresh.length;
  }

  private append(line: Line): void {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    for (let written = 0; written < bytes.length;) written += writeSync(this.descriptor, bytes, written);
    this.length += bytes.length;
  }

  private remember(table: string, rows: Row[]): void {
    for (const row of rows) this.table(table).set(this.key(table, row), row);
  }

  private change(nextlsn: string, events: Event[]): void {
    for (const event of events) {
      if (event.op === "message") continue;
      const name = `${event.schema}.${event.table}`;
      const rows = this.table(name);
      switch (event.op) {
        case "insert":
          rows.set(this.key(name, event.new), event.new);
          break;
        case "update": {
          const before = this.key(name, known(event));
          const row = { ...unchanged(event, rows.get(before)), ...event.new };
          // The key itself may have changed.
          rows.delete(before);
          rows.set(this.key(name, row), row);
          break;
        }
        case "delete":
          rows.delete(this.key(name, known(event)));
          break;
        case "truncate":
          rows.clear();
          break;
        default:
          event satisfies never;
      }
    }
    this.header.position = nextlsn;
  }

  private table(name: string): Map<string, Row> {
    const rows = this.tables.get(name);
    // Of a partitioned table each partition is to be named, since its changes come under its own name.
    if (!rows) throw new Error(`${name} is not among the tables that were asked for`);
    return rows;
  }

  private key(table: string, row: Row): string {
    const values = (this.header.keys[table] ?? []).map((column) => {
      if (!(column in row)) throw new Error(`${table}: ${column} is not in ${JSON.stringify(row)}`);
      return row[column];
    });
    return JSON.stringify(values);
  }
}

/** What is known of the row before. */
function known(event: UpdateEvent | DeleteEvent): Row {
  return { ...event.old, ...event.key };
}

/** What an update did not send because it stays as it was. */
function unchanged(event: UpdateEvent, before: Row | undefined): Row {
  const stay = event.unchangedUnknown ? Object.keys(before ?? {}) : (event.unchanged ?? []);
  return Object.fromEntries(stay.map((column) => [column, before?.[column]]));
}

/** `X/X` as a number that can be compared: the text cannot. */
function lsn(text: string): bigint {
  const [high, low] = text.split("/");
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}
