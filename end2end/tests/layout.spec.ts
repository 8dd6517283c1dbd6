import type { Page } from '@playwright/test';
import { expect, test } from '../fixtures/test';
import type { Settings } from '../fixtures/server';

const SYMBOLS = 'AAPL ACN ADBE ADI AMAT AMD ANET APH AVGO CDNS CRM CRWD CSCO DELL FTNT GLW'.split(' ');

function connections(count: number): Settings {
  const settings: Settings = { USE_MULTI_CONNECTION: 'true', WEBSOCKET_CONNECTIONS_MAX: String(count) };
  for (let id = 1; id <= count; id += 1) {
    settings[`WEBSOCKET_CONNECTION_${id}_ENABLED`] = 'true';
    settings[`WEBSOCKET_CONNECTION_${id}_NAME`] = `connection number ${id} with a name that is long`;
    settings[`WEBSOCKET_CONNECTION_${id}_SYMBOLS`] = SYMBOLS[id - 1] ?? '';
  }
  return settings;
}

/** How many pixels of the page are to be scrolled to sideways. */
async function overflow(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

for (const count of [1, 2, 16]) {
  test(`${count} connections fit every screen`, async ({ page, openMonitor }) => {
    const monitor = await openMonitor(connections(count));
    await monitor.expectTicking(count, 20_000);
    for (const width of [1920, 1024, 390]) {
      await page.setViewportSize({ width, height: 900 });
      for (let id = 1; id <= count; id += 1) {
        const box = await monitor.column(id).boundingBox();
        expect(box, `column ${id} at ${width}`).toBeTruthy();
        expect(box?.width ?? 0, `column ${id} at ${width} is readable`).toBeGreaterThan(280);
        const table = await monitor.table(id).boundingBox();
        expect(table?.height ?? 0, `the table of ${id} at ${width} shows rows`).toBeGreaterThan(4 * 26);
      }
      expect(await overflow(page), `nothing to scroll sideways at ${width}`).toBe(0);
    }
  });
}

test('every page fits a phone, with the link’s figures open', async ({ page, openMonitor }) => {
  const { link, server } = await openMonitor();
  const pages = {
    '/admin/websockets': link.locator('.popover-panel'),
    '/admin/account': page.getByTestId('session'),
    '/admin/audit': page.getByTestId('record').first(),
    '/admin/metrics': page.getByTestId('chart-ticks'),
  };
  for (const [path, content] of Object.entries(pages)) {
    await page.goto(server.url + path);
    if (path === '/admin/websockets') await link.locator('summary').click();
    for (const width of [390, 320]) {
      await page.setViewportSize({ width, height: 800 });
      await expect(content).toBeVisible();
      expect(await overflow(page), `${path} at ${width}`).toBe(0);
    }
    if (path !== '/admin/websockets') continue;
    const panel = await content.boundingBox();
    expect(panel?.x, 'the figures are in view').toBeGreaterThanOrEqual(0);
    expect((panel?.x ?? 0) + (panel?.width ?? Infinity), 'the figures are in view').toBeLessThanOrEqual(320);
  }
});
