// Makes the list of the browser's files that a release of the server includes (server/src/site.rs): each as it is and compressed,
// and a version, which is a hash over all of them.
//
//   node scripts/site.mjs target/site target/site-list.rs

import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

const MEDIA_TYPES = { css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml', wasm: 'application/wasm' };

const [root, list] = process.argv.slice(2).map((path) => resolve(path));
const ending = (path) => path.slice(path.lastIndexOf('.') + 1);
const paths = readdirSync(root, { recursive: true }).filter((path) => ending(path) in MEDIA_TYPES).sort();

const hash = createHash('sha256');
const compress = {
  br: (bytes) =>
    promisify(brotliCompress)(bytes, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
    }),
  gz: (bytes) => promisify(gzip)(bytes, { level: 9 }),
};

/** Rust's name of the compressed form, or that there is none because it is no shorter. */
async function form(path, bytes, kind) {
  const packed = await compress[kind](bytes);
  if (packed.length >= bytes.length) return 'None';
  writeFileSync(`${path}.${kind}`, packed);
  return `Some(include_bytes!(${JSON.stringify(`${path}.${kind}`)}))`;
}

const files = await Promise.all(
  paths.map(async (name) => {
    const path = join(root, name);
    const bytes = readFileSync(path);
    hash.update(`${name} ${bytes.length}\n`).update(bytes);
    const [brotli, gzipped] = await Promise.all([form(path, bytes, 'br'), form(path, bytes, 'gz')]);
    return `    server::site::File {
      path: ${JSON.stringify(`/${name}`)},
      media_type: ${JSON.stringify(MEDIA_TYPES[ending(name)])},
      plain: include_bytes!(${JSON.stringify(path)}),
      brotli: ${brotli},
      gzip: ${gzipped},
    },\n`;
  }),
);
const version = hash.digest('hex').slice(0, 20);
writeFileSync(list, `server::site::Site {\n  version: "${version}",\n  files: &[\n${files.join('')}  ],\n}\n`);
