// The server is replaced by one of another version: what open pages do, and pages of which only a part came.

import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { NETWORK_LOST, answered } from '../fixtures/errors';
import { MonitorPage } from '../fixtures/monitor_page';
import { ADMIN, BINARY, MonitorServer } from '../fixtures/server';
import { expect, test } from '../fixtures/test';

/** The version in the addresses that the server's pages name. */
async function versionOf(server: MonitorServer): Promise<string> {
  const html = await (await fetch(`${server.url}/login`)).text();
  const version = /\/assets\/(\w+)\/pkg\/tickstock\.css/.exec(html)?.[1];
  if (version === undefined) throw new Error(`no version in ${html}`);
  return version;
}

let folder: string;
let other: string;

test.beforeAll(async () => {
  // The same program with another version: addresses and bytes differ as between two releases.
  const server = await MonitorServer.start();
  const version = await versionOf(server);
  await server.remove();
  folder = mkdtempSync(join(tmpdir(), 'tickstock-other-'));
  other = join(folder, 'tickstock-monitor');
  const bytes = readFileSync(BINARY);
  for (let at = bytes.indexOf(version); at >= 0; at = bytes.indexOf(version, at)) bytes.write([...version].reverse().join(''), at);
  writeFileSync(other, bytes);
  chmodSync(other, 0o755);
});

test.afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The dashboard as the server now writes it, for an administrator whose browser has none of its files. */
async function dashboardOf(page: Page, server: MonitorServer): Promise<{ body: string; headers: Record<string, string> }> {
  const headers = { origin: server.url };
  await page.request.post(`${server.url}/login`, { form: { email: ADMIN.email, password: ADMIN.password }, headers });
  const html = await page.request.get(`${server.url}/admin/websockets`);
  expect(html.status()).toBe(200);
  return { body: await html.text(), headers: { ...html.headers(), 'content-encoding': 'identity' } };
}

test('the program alone, in an empty folder, serves page, program and pictures under names that are kept for ever', async ({ page, openMonitor }) => {
  const monitor = await openMonitor({ LEPTOS_SITE_ROOT: '/nonexistent' });
  await monitor.expectTicking(1);
  const version = await versionOf(monitor.server);
  const names = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname));
  expect(names.filter((name) => !name.startsWith(`/assets/${version}/`))).toEqual([]);
  for (const name of [...new Set(names), `/assets/${version}/favicon.svg`]) {
    const file = await page.request.get(monitor.server.url + name);
    expect([file.status(), file.headers()['cache-control']], name).toEqual([200, 'public, max-age=31536000, immutable']);
  }
  // The database, and what is recorded.
  const files = readdirSync(monitor.server.folder);
  expect(files.filter((file) => !file.startsWith('monitor.db') && file !== 'data')).toEqual([]);
});

test('an open page goes on after an update, and what it has yet to load leads to the new version', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  const before = await versionOf(monitor.server);
  await complaints.during(NETWORK_LOST, async () => {
    await monitor.server.update(other);
    await monitor.expectLive(20_000);
  });
  expect(await versionOf(monitor.server)).not.toBe(before);
  await monitor.expectTicking(1);

  complaints.expect(/status of 404|WebAssembly|MIME/);
  const search = page.getByTestId('find');
  await search.fill('A');
  const trouble = page.getByRole('alert').filter({ hasText: 'Search could not be loaded.' });
  await expect(trouble).toBeVisible();
  await trouble.getByRole('link', { name: 'reload the page' }).click();
  await monitor.waitUntilHydrated();
  await search.fill('A');
  await expect(page.locator('#matches button').first()).toBeVisible();
  await expect(trouble).toBeHidden();
});

test('a page whose files went with an update loads itself anew once', async ({ page, complaints, startServer }) => {
  const server = await startServer();
  const old = await dashboardOf(page, server);
  await server.update(other);
  complaints.expect(answered(404));
  complaints.expect(/MIME|dynamically imported/);
  let loads = 0;
  await page.route(`${server.url}/admin/websockets`, async (route) => {
    loads += 1;
    if (loads === 1) await route.fulfill({ status: 200, ...old });
    else await route.continue();
  });
  const monitor = new MonitorPage(page, server);
  await page.goto(`${server.url}/admin/websockets`);
  await monitor.waitUntilHydrated();
  await monitor.expectTicking(1);
  expect(loads).toBe(2);
});

test('where that does not help the page says what to do, and does not load itself without end', async ({ page, complaints, startServer }) => {
  const server = await startServer();
  const old = await dashboardOf(page, server);
  await server.update(other);
  complaints.expect(answered(404));
  complaints.expect(/MIME|dynamically imported/);
  let loads = 0;
  await page.route(`${server.url}/admin/websockets`, async (route) => {
    loads += 1;
    await route.fulfill({ status: 200, ...old });
  });
  await page.goto(`${server.url}/admin/websockets`);
  const note = page.getByText('Live updates are not running.');
  await expect(page.locator('body')).toHaveAttribute('data-hydration', 'failed');
  await expect.poll(() => loads).toBe(2);
  await expect(note).toBeVisible();
  await expect(page.getByRole('link', { name: 'Reload' })).toBeVisible();
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 500)));
  expect(loads).toBe(2);
});
