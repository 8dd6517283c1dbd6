import { expectAccessible } from '../fixtures/axe';
import { startedAt } from '../fixtures/clock';
import { expect, test } from '../fixtures/test';
import { MonitorPage } from '../fixtures/monitor_page';
import type { RedisServer } from '../fixtures/redis';
import type { MonitorServer, Settings } from '../fixtures/server';
import { SlowLine } from '../fixtures/slow_line';

function settings(redis: RedisServer): Settings {
  return {
    MARKET_FEED: 'redis',
    REDIS_URL: redis.url,
    USE_MULTI_CONNECTION: 'true',
    WEBSOCKET_CONNECTION_1_ENABLED: 'true',
    WEBSOCKET_CONNECTION_1_SYMBOLS: 'AAPL,MSFT',
    WEBSOCKET_CONNECTION_2_ENABLED: 'true',
    WEBSOCKET_CONNECTION_2_SYMBOLS: 'JPM',
  };
}

test('ticks that others publish are shown', async ({ startRedis, openMonitor }) => {
  const redis = await startRedis();
  const monitor = await openMonitor(settings(redis));
  const client = redis.connect();
  await redis.waitForSubscriber(client);

  await client.publish({ symbol: 'AAPL', price: 178.23 });
  await expect(monitor.price('AAPL')).toHaveText('178.23');
  await client.publish({ symbol: 'AAPL', price: 178.5 });
  await expect(monitor.price('AAPL')).toHaveText('178.50');
  await expect(monitor.row('AAPL').locator('[data-cell=arrow]')).toHaveAttribute('data-direction', 'up');
  await client.publish({ symbol: 'AAPL', price: 1177.01 });
  await expect(monitor.price('AAPL')).toHaveText('1,177.01');
  await client.publish({ symbol: 'JPM', price: 201.1, connection_id: 2 });
  await expect(monitor.column(2).getByTestId('row-JPM')).toContainText('201.10');
  await client.publishRaw(JSON.stringify({ ticker: 'MSFT', price: 410, timestamp: Date.now(), conditions: [12] }));
  await expect(monitor.price('MSFT'), 'the other spelling').toHaveText('410.00');
  client.close();
});

test('what is no tick is counted and does no harm', async ({ startRedis, openMonitor }) => {
  const redis = await startRedis();
  const monitor = await openMonitor(settings(redis));
  const client = redis.connect();
  await redis.waitForSubscriber(client);
  await client.publish({ symbol: 'AAPL', price: 178.23 });
  await expect(monitor.price('AAPL')).toHaveText('178.23');

  const rubbish = [
    'no JSON at all',
    '{"type":"market_tick","symbol":"AAPL"',
    '{"type":"market_tick","symbol":"AAPL","volume":5}',
    '{"type":"market_tick","price":5}',
    '{"type":"market_tick","symbol":"AAPL","price":-3}',
    '{"type":"market_tick","symbol":"AAPL","price":"<b>1</b>"}',
    '[]',
    'x'.repeat(70 * 1024),
  ];
  for (const message of rubbish) await client.publishRaw(message);
  await client.publish({ symbol: 'MSFT', price: 410.5 });

  await expect(monitor.price('MSFT'), 'what comes after is shown').toHaveText('410.50');
  await expect(monitor.price('AAPL'), 'and what was there is unharmed').toHaveText('178.23');
  await expect.poll(async () => (await monitor.status()).bus?.rejected_total).toBe(rubbish.length);
  await monitor.expectLive();
  client.close();
});

test('when Redis dies the page says so, and ticks resume within 3 s of its return', async ({ page, startRedis, openMonitor }) => {
  const redis = await startRedis();
  const monitor = await openMonitor(settings(redis));
  let client = redis.connect();
  await redis.waitForSubscriber(client);
  await client.publish({ symbol: 'AAPL', price: 178.23 });
  await expect(monitor.price('AAPL')).toHaveText('178.23');
  const bus = monitor.banner.getByText('No ticks are arriving over Redis');
  await expect(bus).toBeHidden();

  client.close();
  await redis.kill();
  await expect(bus).toBeVisible();
  await monitor.expectDimmed(1);
  await expect(page, 'the tab says so first').toHaveTitle(/^\W*no ticks/i);
  await expect(monitor.price('AAPL'), 'the last price stays').toHaveText('178.23');
  await monitor.expectLive();

  await redis.startAgain();
  client = redis.connect();
  let price = 200;
  const publishAndLook = async () => {
    price += 0.01;
    await client.publish({ symbol: 'AAPL', price: Number(price.toFixed(2)) });
    return (await monitor.price('AAPL').textContent())?.startsWith('200.');
  };
  await expect.poll(publishAndLook, { message: 'ticks resume', timeout: 3_000, intervals: [100] }).toBe(true);
  await expect(bus).toBeHidden();
  await monitor.expectPresent(1);
  await expect(page).not.toHaveTitle(/no ticks/i);
  client.close();
});

test('with a Redis bus the simulated market’s own ticks go through it', async ({ startRedis, openMonitor }) => {
  const redis = await startRedis();
  const monitor = await openMonitor({ REDIS_URL: redis.url, MARKET_FEED: 'simulator' });
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  expect((await monitor.status()).bus?.connected).toBe(true);

  await redis.kill();
  for (const id of [1, 2, 3]) await monitor.expectDimmed(id);
  for (const id of [1, 2, 3]) await expect(monitor.state(id), 'the provider is well').toHaveText('connected');
  await expect(monitor.column(1).locator('.pill'), 'and yet it is not green').toHaveAttribute('data-tone', 'warn');
  await expect(monitor.reason(1)).toContainText('no ticks are arriving over Redis');
  await redis.startAgain();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  for (const id of [1, 2, 3]) await monitor.expectPresent(id);
});

test('rows whose ticks carry old times are current all the same: arrival counts', async ({ page, startRedis, openMonitor }) => {
  const redis = await startRedis();
  // A Wednesday noon in New York: while the market is closed no age is bad.
  const noon = '2031-11-26 17:00:00';
  const monitor = await openMonitor({ ...settings(redis), ...startedAt(noon) });
  await expect(page.getByTestId('market')).toHaveAttribute('data-session', 'open');
  const client = redis.connect();
  await redis.waitForSubscriber(client);
  const seconds = Date.parse(`${noon.replace(' ', 'T')}Z`) / 1_000;
  await client.publish({ symbol: 'AAPL', price: 178.23, timestamp: seconds - 70 });
  await client.publish({ symbol: 'MSFT', price: 410, timestamp: seconds - 360 });
  await client.publish({ symbol: 'JPM', price: 201.1, timestamp: seconds + 3, connection_id: 2 });
  for (const symbol of ['AAPL', 'MSFT', 'JPM']) {
    await expect(monitor.row(symbol).locator('[data-cell=price]')).not.toHaveText('—');
    await expect(monitor.row(symbol)).not.toHaveClass(/is-stale/);
    await expect(monitor.row(symbol).locator('[data-age]')).toHaveAttribute('data-age', 'good');
  }
  await expect(monitor.summary).toContainText(/unassigned ticks\s*1stale tickers\s*0/);
  client.close();
});

test('every head sorts by what its column shows, both ways', async ({ startRedis, openMonitor }) => {
  const redis = await startRedis();
  const monitor = await openMonitor({ ...settings(redis), WEBSOCKET_CONNECTION_1_SYMBOLS: 'AAPL,MSFT,NVDA' });
  const client = redis.connect();
  await redis.waitForSubscriber(client);
  for (const [symbol, price] of [['AAPL', 100], ['MSFT', 400], ['NVDA', 120]] as const) await client.publish({ symbol, price });
  await expect(monitor.price('NVDA')).toHaveText('120.00');
  // By change NVDA, AAPL, MSFT; by time NVDA is the oldest and AAPL the newest.
  for (const [symbol, price] of [['NVDA', 123.6], ['MSFT', 396], ['AAPL', 101]] as const) {
    await client.publish({ symbol, price });
    await expect(monitor.row(symbol)).toContainText(price.toFixed(2));
  }
  const orders = async (key: Parameters<typeof monitor.sortBy>[1]) => {
    const seen: Record<string, string> = {};
    for (const _ of ['first', 'again']) {
      await monitor.sortBy(1, key).click();
      const head = monitor.sortBy(1, key).locator('xpath=ancestor-or-self::*[@aria-sort]');
      await expect(head).toHaveAttribute('aria-sort', /ascending|descending/);
      const direction = (await head.getAttribute('aria-sort')) ?? '';
      // The order is made anew once a second.
      await expect.poll(async () => (seen[direction] = (await monitor.symbols(1)).join(' '))).toBe(expected[key]?.[direction]);
    }
    expect(Object.keys(seen).sort()).toEqual(['ascending', 'descending']);
  };
  const expected: Record<string, Record<string, string>> = {
    price: { ascending: 'AAPL NVDA MSFT', descending: 'MSFT NVDA AAPL' },
    change: { ascending: 'MSFT AAPL NVDA', descending: 'NVDA AAPL MSFT' },
    updated: { ascending: 'NVDA MSFT AAPL', descending: 'AAPL MSFT NVDA' },
    symbol: { ascending: 'AAPL MSFT NVDA', descending: 'NVDA MSFT AAPL' },
  };
  for (const key of ['price', 'change', 'updated', 'symbol'] as const) await orders(key);
  client.close();
});

test('a status that nobody renews any more is said to be stale', async ({ page, startRedis, startServer, openMonitor }) => {
  const redis = await startRedis();
  const collector = await startServer({ REDIS_URL: redis.url, MARKET_FEED: 'simulator' });
  const monitor = await openMonitor({ REDIS_URL: redis.url, MARKET_FEED: 'redis' });
  for (const id of [1, 2, 3]) await expect(monitor.state(id)).toHaveText('connected', { timeout: 15_000 });
  const stale = page.getByText('Status is stale.');
  await expect(stale).toBeHidden();
  await collector.kill();
  await expect(stale).toBeVisible({ timeout: 20_000 });
  await expect(monitor.reason(1), 'of when it is').toContainText(/reported at \d\d:\d\d:\d\d UTC|silent since/);
  await expect(monitor.column(1).locator('.pill')).not.toHaveAttribute('data-tone', 'ok');
  await monitor.expectLive();
  await expectAccessible(page, 'status stale');
  await collector.startAgain();
  await expect(stale).toBeHidden({ timeout: 15_000 });
  await monitor.expectTicking(1, 15_000);
});

test('50,000 rows over 2 Mbit/s arrive on the first socket', async ({ page, startRedis, startServer }) => {
  const redis = await startRedis();
  const rows: Settings = { MARKET_FEED: 'redis', REDIS_URL: redis.url, USE_MULTI_CONNECTION: 'true', WEBSOCKET_CONNECTIONS_MAX: '5' };
  for (let id = 1; id <= 5; id += 1) {
    rows[`WEBSOCKET_CONNECTION_${id}_ENABLED`] = 'true';
    rows[`WEBSOCKET_CONNECTION_${id}_SYMBOLS`] = Array.from({ length: 10_000 }, (_, n) => `SYM${id}.${10_000 + n}`).join(',');
  }
  const server = await startServer(rows);
  const line = await SlowLine.start(server.port, 2_000_000);
  try {
    let sockets = 0;
    const frames: { at: number; bytes: number }[] = [];
    page.on('websocket', (socket) => {
      sockets += 1;
      socket.on('framereceived', ({ payload }) => frames.push({ at: Date.now(), bytes: payload.length }));
    });
    const monitor = new MonitorPage(page, Object.create(server, { url: { value: line.url } }) as MonitorServer);
    await monitor.signIn();
    await monitor.waitUntilHydrated();
    const begun = Date.now();
    await monitor.expectLive(20_000);
    const took = Date.now() - begun;
    await expect(monitor.table(5), 'all of them').toHaveAttribute('aria-rowcount', '10001');
    expect(sockets, 'without reconnecting').toBe(1);
    expect(took, 'longer than a silence may be').toBeGreaterThan(3_000);
    const largest = Math.max(...frames.slice(1).map(({ bytes }) => bytes));
    expect(largest, 'a tenth of a megabyte at a time').toBeLessThan(100_000);
  } finally {
    line.close();
  }
});

test('each connection tells how long its own ticks take to the screen, the wait for their frame included', async ({ page, startRedis, openMonitor }) => {
  const redis = await startRedis();
  const monitor = await openMonitor({ ...settings(redis), FRAME_INTERVAL_MS: '500' });
  const client = redis.connect();
  await redis.waitForSubscriber(client);
  await expect(page.getByTestId('to-screen-1').getByRole('cell')).toHaveText('—');
  // Ten ticks a frame: the first goes at once, those after it wait half a second for the next frame.
  for (let price = 100; price < 160; price += 1) {
    await client.publish({ symbol: 'AAPL', price });
    await page.waitForTimeout(50);
  }
  await expect(monitor.price('AAPL')).toHaveText('159.00');
  const [, , p99 = 0] = await monitor.expectLatency('to-screen-1');
  expect(p99).toBeGreaterThan(350);
  expect(p99).toBeLessThan(2_000);
  await expect(page.getByTestId('to-screen-2').getByRole('cell'), 'nothing of connection 2 was drawn').toHaveText('—');
  client.close();
});
