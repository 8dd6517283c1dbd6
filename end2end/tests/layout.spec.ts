import type { Page } from '@playwright/test';
import { expect, test } from '../fixtures/test';
import type { Settings } from '../fixtures/server';

const SYMBOLS = 'GOOGL ACN ADBE ADI AMAT AMD ANET APH AVGO CDNS CRM CRWD CSCO DELL FTNT GLW'.split(' ');

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

for (const count of [1, 3, 16]) {
  test(`${count} connections fit every screen`, async ({ page, openMonitor }) => {
    const monitor = await openMonitor(connections(count));
    await monitor.expectTicking(count, 20_000);
    for (const [width, height] of [[1920, 900], [1440, 900], [1366, 768], [1024, 900], [390, 900]] as const) {
      await page.setViewportSize({ width, height });
      const cut = await page.locator('.table-window .symbol, :is(.trio, .metric) :is(dt, dd), .table-head > span:not(.head-symbol), .table-scroller').evaluateAll((texts) =>
        texts.filter((text) => text.scrollWidth > text.clientWidth + 1).map((text) => text.textContent),
      );
      expect(cut, `nothing is cut at ${width}`).toEqual([]);
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

test('on a phone nothing moves when the summary names what is in trouble', async ({ page, openMonitor }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await expect(monitor.state(id)).toHaveText('connected', { timeout: 20_000 });
  const top = async () => (await monitor.column(1).boundingBox())?.y;
  const before = await top();
  for (const connection of [2, 3]) {
    await monitor.server.control({ fault: 'refuse_key', connection });
    await monitor.server.control({ fault: 'drop', connection });
  }
  for (const id of [2, 3]) await expect(page.locator('.trouble', { hasText: `connection ${id}` })).toHaveText(/failed/, { timeout: 10_000 });
  expect(await top()).toBe(before);
  expect(await overflow(page)).toBe(0);
});

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

const LONG = 'O:SPY251219C00650000XYZW';

test('long symbols and prices of six digits fit, targets can be hit, and the bar leaves a phone its columns', async ({ page, startRedis, openMonitor }) => {
  const redis = await startRedis();
  const monitor = await openMonitor({
    MARKET_FEED: 'redis',
    REDIS_URL: redis.url,
    WEBSOCKET_CONNECTION_1_ENABLED: 'true',
    WEBSOCKET_CONNECTION_1_SYMBOLS: `${LONG},MSFT`,
  });
  const client = redis.connect();
  await redis.waitForSubscriber(client);
  await client.publish({ symbol: LONG, price: 712_345.67 });
  await client.publish({ symbol: LONG, price: 888_888.88 });
  await expect(monitor.price(LONG)).toHaveText('888,888.88');
  await expect(monitor.row(LONG).locator('.symbol')).toHaveAttribute('title', LONG);
  for (const width of [1920, 1024, 768, 390, 320]) {
    await page.setViewportSize({ width, height: 640 });
    const apart = await monitor.row(LONG).evaluate((row) => {
      const cells = [...row.children].map((cell) => cell.getBoundingClientRect()).filter(({ width }) => width > 0);
      const { left, right } = row.getBoundingClientRect();
      return cells.every((cell, place) => cell.left >= (cells[place - 1]?.right ?? left) - 1 && cell.right <= right + 1);
    });
    expect(apart, `no cell lies over another at ${width}`).toBe(true);
    const small = await page.locator('button, select, input, summary, nav a, .trouble, .tile').evaluateAll((targets) =>
      targets
        .map((target) => ({ target, box: (target.closest('label') ?? target).getBoundingClientRect() }))
        .filter(({ box }) => box.width > 1 && (box.width < 24 || box.height < 24))
        .map(({ target, box }) => `${target.outerHTML.slice(0, 120)} ${box.width}x${box.height}`),
    );
    expect(small, `targets of 24 pixels at ${width}`).toEqual([]);
  }
  const bar = await page.getByRole('banner').boundingBox();
  expect(bar?.height, 'a fifth of the screen').toBeLessThanOrEqual(128);
  await monitor.pause.click();
  expect((await page.getByRole('banner').boundingBox())?.height, 'paused too').toBeLessThanOrEqual(128);
  expect(await overflow(page)).toBe(0);
  client.close();
});

test('paper shows all rows of all connections in light colours, with address and time', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  await page.getByTestId('fold-data-3').click();
  await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
  await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
  const { connections } = await monitor.status();
  for (const { id, config } of connections) {
    await expect(monitor.rows(id), `all rows of ${id}`).toHaveCount(config.ticker_count);
    await expect(monitor.rows(id).last()).toBeVisible();
  }
  await expect(page.locator('.print-head')).toHaveText(/^http.*\/admin\/websockets · printed \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
  await expect(page.locator('.print-head')).toBeVisible();
  await expect(page.locator('html')).toHaveCSS('color-scheme', 'light');
  await expect(page.getByRole('banner')).toBeHidden();
  await page.evaluate(() => dispatchEvent(new Event('afterprint')));
  await page.emulateMedia({ media: 'screen', colorScheme: null });
  await expect.poll(() => monitor.rows(1).count(), 'and only those in view after that').toBeLessThan(60);
});
