// Takes out of the main part and its JavaScript what wasm-bindgen cannot leave out: names that tell libraries of different versions
// apart, two hundred of them in both files, and classes for streams, which a library exports and nothing here uses. What only
// they need goes with them, once wasm-opt has run.
//
//   node scripts/shorten.mjs FOLDER NAME

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Reader, SECTION, list, moduleOf, readImport, sections, withLength } from './wasm_module.mjs';

const [folder, name] = process.argv.slice(2);
const [module, script] = [join(folder, `${name}.wasm`), join(folder, `${name}.js`)];
const bytes = readFileSync(module);
const short = new Map();

const shortened = (long) => {
  if (!/^__wbg_\w+_[0-9a-f]{16}$/.test(long)) return long;
  if (!short.has(long)) short.set(long, `_${short.size.toString(36)}`);
  return short.get(long);
};

function imports(content) {
  const items = new Reader(content).list(readImport);
  return list(items.map(({ from, name, type }) => Buffer.concat([withLength(from), withLength(Buffer.from(shortened(String(name)))), type])));
}

function exports(content) {
  const items = new Reader(content).list((reader) => {
    const name = reader.content();
    return { name, what: reader.over(() => (reader.byte(), reader.number())) };
  });
  const kept = items.filter(({ name }) => !/intounderlying/.test(name));
  return list(kept.map(({ name, what }) => Buffer.concat([withLength(name), what])));
}

const change = { [SECTION.import]: imports, [SECTION.export]: exports };
const all = sections(bytes).map(({ id, content }) => ({ id, content: change[id]?.(content) ?? content }));
writeFileSync(module, moduleOf(bytes, all));

const text = readFileSync(script, 'utf8')
  .replaceAll(/^export class IntoUnderlying[^]*?^}\n/gm, '')
  .replaceAll(/^if \(Symbol\.dispose\) IntoUnderlying.*\n/gm, '')
  .replaceAll(/^const IntoUnderlying\w+Finalization = [^;]*;\n/gm, '')
  .replaceAll(/\b__wbg_\w+_[0-9a-f]{16}\b/g, (long) => short.get(long) ?? long);
if (text.includes('IntoUnderlying')) throw new Error(`${script} is not what wasm-bindgen wrote so far`);
writeFileSync(script, text);
