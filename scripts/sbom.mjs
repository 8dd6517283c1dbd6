// What the program is made of, from `cargo tree`: the server's dependencies, and the frontend's, which is inside.
//
//   node scripts/sbom.mjs sbom.cdx.json dep-v0
//
// The first is a CycloneDX document. The second is what cargo-auditable puts into a program's section `.dep-v0`, so that `cargo audit bin`
// and other scanners find the server's dependencies in the program itself.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { deflateSync } from 'node:zlib';

const project = resolve(import.meta.dirname, '..');
const [sbom, audit] = process.argv.slice(2);

/** The packages below one, in the order of `cargo tree`, each with those that it depends on. The first is the package itself. */
function tree(name, ...options) {
  const format = ['--prefix', 'depth', '--format', ' {p}\t{l}', '--edges', 'normal', ...options];
  const text = execFileSync('cargo', ['tree', '--locked', '--package', name, ...format], { cwd: project, encoding: 'utf8' });
  const packages = new Map();
  const way = [];
  for (const line of text.trim().split('\n')) {
    const [, depth, name, version, license] = /^(\d+) (\S+) v(\S+).*?\t(.*?)(?: \(\*\))?$/.exec(line);
    const id = `${name} ${version}`;
    if (!packages.has(id)) packages.set(id, { name, version, license, needs: new Set() });
    way.length = Number(depth);
    if (way.length > 0) packages.get(way.at(-1)).needs.add(id);
    way.push(id);
  }
  return packages;
}

/** SHA-256 of each package's archive; our own packages have none. */
const checksums = new Map(
  [...readFileSync(`${project}/Cargo.lock`, 'utf8').matchAll(/name = "(.*)"\nversion = "(.*)"\nsource = .*\nchecksum = "(.*)"/g)].map(
    ([, name, version, checksum]) => [`${name} ${version}`, checksum],
  ),
);

const server = tree('server');
const frontend = tree('frontend', '--target', 'wasm32-unknown-unknown');
// What each needs of the packages that both have, together; those that the compiler of the server was given stay as they are.
const all = new Map([...frontend, ...server].map(([id, { needs, ...about }]) => [id, { ...about, needs: new Set(needs) }]));
for (const [id, { needs }] of frontend) needs.forEach((need) => all.get(id).needs.add(need));

const purl = (id) => `pkg:cargo/${id.replace(' ', '@')}`;
const [main, ...others] = [...server.keys(), ...[...all.keys()].filter((id) => !server.has(id))];
// The frontend is a part of the server that the compiler does not know of.
all.get(main).needs.add([...frontend.keys()][0]);
const component = (id) => {
  const { name, version, license } = all.get(id);
  const checksum = checksums.get(id);
  return {
    type: id === main ? 'application' : 'library',
    'bom-ref': purl(id),
    name: id === main ? 'tickstock-monitor' : name,
    version,
    ...(checksum && { hashes: [{ alg: 'SHA-256', content: checksum }] }),
    // Some packages still write "MIT/Apache-2.0".
    ...(license && { licenses: [{ expression: license.replaceAll('/', ' OR ') }] }),
    purl: purl(id),
  };
};
const document = {
  bomFormat: 'CycloneDX',
  specVersion: '1.6',
  version: 1,
  metadata: { component: component(main) },
  components: others.sort().map(component),
  dependencies: [main, ...others].map((id) => ({ ref: purl(id), dependsOn: [...all.get(id).needs].map(purl).sort() })),
};
writeFileSync(sbom, `${JSON.stringify(document, null, 2)}\n`);

const places = new Map([...server.keys()].map((id, place) => [id, place]));
const packages = [...server].map(([id, { name, version, needs }]) => ({
  name,
  version,
  source: checksums.has(id) ? 'crates.io' : 'local',
  dependencies: [...needs].filter((need) => places.has(need)).map((need) => places.get(need)),
  ...(id === main && { root: true }),
}));
writeFileSync(audit, deflateSync(JSON.stringify({ packages }), { level: 9 }));
