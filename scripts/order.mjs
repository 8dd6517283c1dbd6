// Which functions lie at the beginning of the program: those that a start and an idle server run. The system keeps 64 kB in memory around
// whatever runs; spread over the whole program, the seventh of it that runs kept two thirds of it there.
//
//   node scripts/order.mjs FILE               writes the linker's list: these functions, as they are called in the libraries compiled so far
//   node scripts/order.mjs --learn PROFILE…   learns them anew, from what callgrind wrote (scripts/startup_functions.sh)
//
// server/startup-functions has a hash of each name. A name itself is a hundred characters long, and in a program it carries numbers besides
// that differ between compilers and builds: these are left out. What is not found lies where it would lie anyway.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const project = resolve(import.meta.dirname, '..');
const known = join(project, 'server/startup-functions');

function output(program, args, input) {
  const { error, stdout } = spawnSync(program, args, { input, maxBuffer: 2 ** 30, stdio: ['pipe', 'pipe', 'ignore'], encoding: 'utf8' });
  if (error) throw error;
  return stdout.trimEnd().split('\n');
}

/** `symbols` by the hash of what they are called in the source. Several that are called alike have one. */
function byHash(symbols) {
  const found = new Map();
  output('c++filt', [], symbols.join('\n')).forEach((name, i) => {
    const hash = createHash('sha256').update(name.replaceAll(/\[[0-9a-f]+\]/g, '')).digest('hex').slice(0, 8);
    found.set(hash, [...(found.get(hash) ?? []), symbols[i]]);
  });
  return found;
}

function learn(profiles) {
  const called = /^c?fn=\(\d+\) ([^'\n]+)/gm;
  const symbols = new Set(profiles.flatMap((path) => [...readFileSync(path, 'utf8').matchAll(called)].map(([, symbol]) => symbol)));
  writeFileSync(known, `${[...byHash([...symbols]).keys()].sort().join('\n')}\n`);
}

/** All functions of the workspace, of its dependencies and of the standard library. */
function functions() {
  const standard = output('rustc', ['--print', 'target-libdir'])[0];
  const libraries = [join(project, 'target/release/deps'), standard].flatMap((folder) =>
    readdirSync(folder).filter((name) => name.endsWith('.rlib')).map((name) => join(folder, name)),
  );
  const symbols = output('nm', ['--defined-only', ...libraries]).map((line) => line.split(' '));
  return [...new Set(symbols.filter(([, kind]) => /^[tw]$/i.test(kind)).map(([, , symbol]) => symbol))];
}

function list(path) {
  const found = byHash(functions());
  const hashes = readFileSync(known, 'utf8').trimEnd().split('\n');
  const ordered = hashes.flatMap((hash) => found.get(hash) ?? []);
  writeFileSync(path, `${ordered.join('\n')}\n`);
  console.log(`${hashes.filter((hash) => found.has(hash)).length} of ${hashes.length} functions of a start found`);
}

const [first, ...others] = process.argv.slice(2);
if (first === '--learn') learn(others);
else list(first);
