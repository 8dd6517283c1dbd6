// Completes the browser's files of a release and lists them for the program that includes them (server/src/site.rs): style sheets,
// pictures, minified JavaScript, each as it is and compressed, and a version, which is a hash over all of them.
//
//   node scripts/site.mjs target/site target/site-list.rs

import { createHash } from 'node:crypto';
import { cpSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

const MEDIA_TYPES = { css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml', wasm: 'application/wasm' };

const project = resolve(import.meta.dirname, '..');
const require = createRequire(join(project, 'end2end/package.json'));
const [esbuild, lightningcss] = [require('esbuild'), require('lightningcss')];
const [site, list] = process.argv.slice(2).map((path) => resolve(path));

/** The oldest browsers that are served, as development builds have them: `chrome >= 123, safari >= 17.5`. */
function targets() {
  const query = /^browserquery = "(.*)"$/m.exec(readFileSync(join(project, 'Cargo.toml'), 'utf8'))[1];
  return Object.fromEntries(
    query.split(', ').map((browser) => {
      const [, name, major, minor = '0'] = /^(\w+) >= (\d+)(?:\.(\d+))?$/.exec(browser);
      return [name, (Number(major) << 16) | (Number(minor) << 8)];
    }),
  );
}

const style = { minify: true, targets: targets() };
const minify = {
  css: (bytes, filename) => lightningcss.transform({ filename, code: bytes, ...style }).code,
  js: async (bytes) => Buffer.from((await esbuild.transform(bytes, { minify: true, format: 'esm', target: 'es2022' })).code),
};

const compress = {
  br: (bytes) =>
    promisify(brotliCompress)(bytes, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
    }),
  gz: (bytes) => promisify(gzip)(bytes, { level: 9 }),
};

/** Rust for the compressed form, or for none where it is no shorter. */
async function form(path, bytes, kind) {
  const packed = await compress[kind](bytes);
  if (packed.length >= bytes.length) return 'None';
  writeFileSync(`${path}.${kind}`, packed);
  return `Some(include_bytes!(${JSON.stringify(`${path}.${kind}`)}))`;
}

cpSync(join(project, 'public'), site, { recursive: true });
writeFileSync(join(site, 'pkg/tickstock.css'), lightningcss.bundle({ filename: join(project, 'style/main.css'), ...style }).code);

const hash = createHash('sha256');
const ending = (path) => path.slice(path.lastIndexOf('.') + 1);
const names = readdirSync(site, { recursive: true }).filter((name) => ending(name) in MEDIA_TYPES);
const files = await Promise.all(
  names.sort().map(async (name) => {
    const path = join(site, name);
    const bytes = (await minify[ending(name)]?.(readFileSync(path), name)) ?? readFileSync(path);
    writeFileSync(path, bytes);
    const [brotli, gzipped] = await Promise.all([form(path, bytes, 'br'), form(path, bytes, 'gz')]);
    const rust = `    server::site::File {
      path: ${JSON.stringify(`/${name}`)},
      media_type: ${JSON.stringify(MEDIA_TYPES[ending(name)])},
      plain: include_bytes!(${JSON.stringify(path)}),
      brotli: ${brotli},
      gzip: ${gzipped},
    },\n`;
    return { name, bytes, rust };
  }),
);
for (const { name, bytes } of files) hash.update(`${name} ${bytes.length}\n`).update(bytes);
const version = hash.digest('hex').slice(0, 20);
const lines = files.map(({ rust }) => rust).join('');
writeFileSync(list, `server::site::Site {\n  version: "${version}",\n  files: &[\n${lines}  ],\n}\n`);
