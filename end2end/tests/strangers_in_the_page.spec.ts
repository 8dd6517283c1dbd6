// What browsers and their extensions do to a page: nodes of their own, translations, blocked files.

import { expect, test } from '../fixtures/test';
import { MetricsPage } from '../fixtures/metrics_page';
import type { Page } from '@playwright/test';

/** Runs in the document before any of the page's own code does. */
async function beforeHydration(page: Page, change: string): Promise<void> {
  await page.addInitScript(`document.addEventListener('readystatechange', () => {
    if (document.readyState === 'interactive') { ${change} }
  })`);
}

test('an extension that puts a node into the body changes nothing', async ({ page, openMonitor }) => {
  await beforeHydration(page, `document.body.prepend(document.createElement('div')); document.body.append(document.createElement('div'))`);
  const monitor = await openMonitor();
  await monitor.expectTicking(1);
  await expect(page.locator('.still-page')).toBeHidden();
});

test('where a node stands within the page before it starts, the page says that it stands still, and stays so', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  // Which words a panic is told in is the browser's affair.
  complaints.expect(/panicked|unreachable|hydration|RuntimeError/i);
  await beforeHydration(page, `document.querySelector('#connections').prepend(document.createElement('aside'))`);
  await page.reload();
  const note = page.getByRole('note').filter({ hasText: 'Live updates are not running.' });
  await expect(note).toBeVisible();
  await expect(note.getByRole('link', { name: 'Reload' })).toBeVisible();
  // Whatever of its code still runs: the mark stays, and nothing calls the page live.
  await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 2_000)));
  await expect(page.locator('body')).toHaveAttribute('data-hydration', 'failed');
  await expect(page.locator('body')).not.toHaveAttribute('data-hydrated');
  await expect(note).toBeVisible();
  expect(monitor.server.output).not.toContain('panicked at');
});

test('the pages that live ask not to be translated', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  await expect(page.locator('#page')).toHaveAttribute('translate', 'no');
  await page.goto(`${monitor.server.url}/admin/account`);
  await expect(page.locator('#page')).not.toHaveAttribute('translate');
});

test('a page that a translator rewrote says so', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  await monitor.expectTicking(1);
  // As Chromium's translator does: every text node is replaced by an element with another.
  await page.evaluate(() => {
    const walker = document.createTreeWalker(document.querySelector('#page')!, NodeFilter.SHOW_TEXT);
    const texts: Text[] = [];
    while (walker.nextNode()) texts.push(walker.currentNode as Text);
    for (const text of texts) {
      const font = document.createElement('font');
      font.append(text.data);
      text.replaceWith(font);
    }
  });
  await expect(monitor.banner).toContainText('Something in this browser has changed the page.');
});

test('without the file of the full metrics that page says that it stands still', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  const metrics = new MetricsPage(page, monitor.server);
  await metrics.goto();
  await metrics.waitUntilHydrated();
  const files = await page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname));
  const own = files.filter((file) => file.includes('/pkg/') && !/\/tickstock\.(js|wasm|css)$/.test(file));
  expect(own.length, 'the page has files of its own').toBeGreaterThan(0);
  expect(own.filter((file) => /metric|track|analytic|stat|beacon|telemetry|collect/i.test(file)), 'names that content blockers cut').toEqual([]);

  // What a page says that misses a part of its program.
  complaints.expect(/ERR_BLOCKED_BY_CLIENT|could not be loaded|fetch/i);
  for (const file of own.filter((file) => file.endsWith('.wasm'))) {
    await page.route(`**${file}`, async (route) => route.abort('blockedbyclient'));
  }
  await page.reload();
  await expect(page.getByRole('note').filter({ hasText: 'Live updates are not running.' })).toBeVisible({ timeout: 10_000 });
});

test('files that are answered whole do not offer ranges', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  const file = await page.request.get(`${monitor.server.url}/pkg/tickstock.css`, { headers: { range: 'bytes=0-9' } });
  expect(file.status()).toBe(200);
  expect(file.headers()).not.toHaveProperty('accept-ranges');
});

test('a page that cannot read what the server sends loads itself anew once, and then says so', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  complaints.expect(/could not be read/);
  let loads = 0;
  page.on('load', () => (loads += 1));
  await page.routeWebSocket(/\/admin-ws/, (socket) => socket.send(Buffer.from([250, 1, 2])));
  await page.reload();
  await expect(monitor.banner).toContainText('Page out of date.');
  await expect(monitor.banner.getByRole('link', { name: 'Reload' })).toBeVisible();
  expect(loads, 'once by hand and once by itself').toBe(2);
});
