// Reading and writing the sections of a WebAssembly module, as far as the build changes them.

export const SECTION = { custom: 0, import: 2, function: 3, export: 7, code: 10 };
const KIND = { function: 0, table: 1, memory: 2, global: 3 };

/** Numbers and lengths are LEB128, of 32 bits. */
export function encoded(value) {
  const out = [];
  for (; value > 127; value >>>= 7) out.push((value & 127) | 128);
  return Buffer.from([...out, value]);
}

export const withLength = (bytes) => Buffer.concat([encoded(bytes.length), bytes]);
export const list = (items) => Buffer.concat([encoded(items.length), ...items]);

/** Reads one thing after the other. */
export class Reader {
  constructor(bytes, at = 0) {
    Object.assign(this, { bytes, at });
  }

  byte() {
    this.at += 1;
    return this.bytes[this.at - 1];
  }

  number() {
    let [value, shift, byte] = [0, 0, 128];
    for (; byte > 127; shift += 7) {
      byte = this.byte();
      value |= (byte & 127) << shift;
    }
    return value >>> 0;
  }

  /** As many bytes as the number before them says. */
  content() {
    const length = this.number();
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  list(read) {
    return Array.from({ length: this.number() }, () => read(this));
  }

  /** What `read` went over. */
  over(read) {
    const begin = this.at;
    read(this);
    return this.bytes.subarray(begin, this.at);
  }
}

/** The sections of a module in their order: number and content. */
export function sections(bytes) {
  const [reader, found] = [new Reader(bytes, 8), []];
  while (reader.at < bytes.length) found.push({ id: reader.byte(), content: reader.content() });
  return found;
}

export function moduleOf(bytes, all) {
  return Buffer.concat([bytes.subarray(0, 8), ...all.map(({ id, content }) => Buffer.concat([Buffer.from([id]), withLength(content)]))]);
}

function limits(reader) {
  const hasMaximum = reader.number() & 1;
  reader.number();
  if (hasMaximum) reader.number();
}

/** An import: its module, its name, its kind, and the bytes of its type. */
export function readImport(reader) {
  const [from, name] = [reader.content(), reader.content()];
  const begin = reader.at;
  const kind = reader.byte();
  if (kind === KIND.function) reader.number();
  if (kind === KIND.table) reader.byte();
  if (kind === KIND.table || kind === KIND.memory) limits(reader);
  if (kind === KIND.global) reader.at += 2;
  return { from, name, isFunction: kind === KIND.function, type: reader.bytes.subarray(begin, reader.at) };
}
