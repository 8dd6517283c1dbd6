// What the browser downloads for the dashboard has a budget.

import { expect, test } from '../fixtures/test';

/** All of a release, as it travels with Brotli, in bytes; a development build is ten times as large and fails. */
const BUDGET = 300_000;

test('all that the page downloads stays within its budget', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  const files = await page.evaluate(() =>
    [location.href, ...performance.getEntriesByType('resource').map(({ name }) => name)].map((name) => new URL(name).pathname),
  );
  const sizes = await Promise.all(
    [...new Set(files)].map(async (path) => {
      const size = async (encoding: string) => {
        const response = await monitor.server.raw(path, encoding, await page.context().cookies());
        expect(response.status, path).toBe(200);
        return response.bytes;
      };
      return { path, brotli: await size('br'), gzip: await size('gzip'), plain: await size('identity') };
    }),
  );
  console.table(sizes);
  const total = sizes.reduce((sum, { brotli }) => sum + brotli, 0);
  console.log(`all of it: ${total} bytes with Brotli, of ${BUDGET}`);
  const names = sizes.map(({ path }) => path.slice(path.lastIndexOf('/') + 1));
  expect(names).toEqual(expect.arrayContaining(['tickstock.wasm', 'tickstock.js', 'tickstock.css']));
  expect(total).toBeLessThan(BUDGET);
});
