// How fast the page is, in a real browser against the real server: the time to load (spec N1), and the time from a
// tick's PUBLISH on Redis until the page has drawn it (spec N2). Prints tables, and JSON into BENCH_JSON when set.

import { writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type Browser, expect, test } from '@playwright/test';
import { MonitorPage } from '../fixtures/monitor_page';
import { RedisServer } from '../fixtures/redis';
import { MonitorServer, type Settings } from '../fixtures/server';

const LOADS = Number(process.env.BENCH_LOADS ?? 7);
const TICKS_PER_SECOND = Number(process.env.BENCH_TICKS_PER_SECOND ?? 1_000);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 10);
const SYMBOLS_PER_CONNECTION = 100;

const results: Record<string, unknown> = {};

test.afterAll(() => {
  if (process.env.BENCH_JSON) writeFileSync(process.env.BENCH_JSON, `${JSON.stringify(results, null, 2)}\n`);
});

function percentile(values: number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

async function session(browser: Browser, server: MonitorServer) {
  const context = await browser.newContext();
  await new MonitorPage(await context.newPage(), server).signIn();
  const storageState = await context.storageState();
  await context.close();
  return storageState;
}

type Load = { first_byte: number; first_paint: number; hydrated: number; live: number; first_tick: number };

test('loading', async ({ browser }) => {
  const server = await MonitorServer.start();
  try {
    const storageState = await session(browser, server);
    const loads: Load[] = [];
    for (let run = 0; run < LOADS; run += 1) {
      // Nothing cached, as on a first visit.
      const context = await browser.newContext({ storageState, viewport: { width: 1440, height: 900 } });
      const page = await context.newPage();
      await page.addInitScript(() => {
        const seen: Record<string, number> = {};
        Object.assign(window, { seen });
        const once = (name: string) => (seen[name] ??= performance.now());
        const look = (records: MutationRecord[]) => {
          if (document.body?.hasAttribute('data-hydrated')) once('hydrated');
          if (document.querySelector('[data-testid=link][data-state=live]')) once('live');
          const inPrice = (node: Node) => (node.parentElement ?? (node as Element)).closest?.('[data-cell=price]');
          const ticked = records.some((record) => record.type === 'characterData' && inPrice(record.target));
          if (seen.live !== undefined && ticked) once('first_tick');
        };
        new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
      });
      await page.goto(`${server.url}/admin/websockets`, { waitUntil: 'commit' });
      await page.waitForFunction(() => (Reflect.get(window, 'seen') as Record<string, number>).first_tick !== undefined);
      loads.push(
        await page.evaluate(() => {
          const seen = Reflect.get(window, 'seen') as Record<string, number>;
          const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
          const paint = performance.getEntriesByName('first-contentful-paint')[0];
          return {
            first_byte: navigation?.responseStart ?? NaN,
            first_paint: paint?.startTime ?? NaN,
            hydrated: seen.hydrated ?? NaN,
            live: seen.live ?? NaN,
            first_tick: seen.first_tick ?? NaN,
          };
        }),
      );
      await context.close();
    }
    const names = ['first_byte', 'first_paint', 'hydrated', 'live', 'first_tick'] as const;
    const table = names.map((name) => {
      const values = loads.map((load) => load[name]);
      return { 'ms from navigation': name, median: round(percentile(values, 0.5)), worst: round(Math.max(...values)) };
    });
    console.log(`\nLoading the dashboard, nothing cached, ${LOADS} times`);
    console.table(table);
    results.load_ms = Object.fromEntries(table.map(({ 'ms from navigation': name, median, worst }) => [name, { median, worst }]));
  } finally {
    await server.remove();
  }
});

function symbolsOf(connection: number): string[] {
  return Array.from({ length: SYMBOLS_PER_CONNECTION }, (_, place) => `B${connection}${String(place).padStart(3, '0')}`);
}

// A desktop's screen, and one so high that every row of a column is in the document.
for (const height of [900, 3_400]) {
  test(`latency, ${height} px high`, async ({ browser }) => {
    results[`latency_${height}_px`] = await latency(browser, height);
  });
}

async function latency(browser: Browser, height: number): Promise<Record<string, number>> {
  const redis = await RedisServer.start();
  const settings: Settings = { MARKET_FEED: 'redis', REDIS_URL: redis.url, USE_MULTI_CONNECTION: 'true' };
  for (const id of [1, 2, 3]) {
    settings[`WEBSOCKET_CONNECTION_${id}_ENABLED`] = 'true';
    settings[`WEBSOCKET_CONNECTION_${id}_SYMBOLS`] = symbolsOf(id).join(',');
  }
  const server = await MonitorServer.start(settings);
  try {
    const storageState = await session(browser, server);
    const context = await browser.newContext({ storageState, viewport: { width: 1440, height } });
    const monitor = new MonitorPage(await context.newPage(), server);
    await monitor.page.goto(`${server.url}/admin/websockets`);
    await monitor.waitUntilHydrated();
    await monitor.expectLive();
    const client = redis.connect();
    await redis.waitForSubscriber(client);

    await monitor.page.evaluate(() => {
      // [sequence number, Unix milliseconds of the frame after the one that drew it]
      const shown: [number, number][] = [];
      Object.assign(window, { shown });
      let drawn: number[] = [];
      const look = (records: MutationRecord[]) => {
        for (const record of records) {
          const element = record.target instanceof Element ? record.target : record.target.parentElement;
          const cell = element?.closest('[data-cell=price]');
          if (!cell) continue;
          if (drawn.length === 0) {
            requestAnimationFrame(() => {
              const now = performance.timeOrigin + performance.now();
              for (const sequence of drawn) shown.push([sequence, now]);
              drawn = [];
            });
          }
          // The price is the sequence number in cents.
          drawn.push(Number(cell.textContent?.replaceAll(/\D/g, '')));
        }
      };
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
    });

    const symbols = [1, 2, 3].flatMap((connection) => symbolsOf(connection).map((symbol) => ({ symbol, connection })));
    const sentAt = new Map<number, number>();
    const first = 10_000;
    const total = TICKS_PER_SECOND * SECONDS;
    const begin = performance.now();
    for (let sent = 0; sent < total; ) {
      const due = Math.min(total, Math.floor(((performance.now() - begin) / 1_000) * TICKS_PER_SECOND));
      for (; sent < due; sent += 1) {
        const { symbol, connection } = symbols[(sent * 7) % symbols.length] ?? { symbol: '', connection: 1 };
        const sequence = first + sent;
        sentAt.set(sequence, performance.timeOrigin + performance.now());
        void client.publish({ symbol, price: sequence / 100, connection_id: connection });
      }
      await pause(1);
    }
    const took = (performance.now() - begin) / 1_000;
    await client.command('PING');
    await pause(500);

    const shown = await monitor.page.evaluate(() => Reflect.get(window, 'shown') as [number, number][]);
    const seen = new Set<number>();
    const latencies: number[] = [];
    for (const [sequence, at] of shown) {
      const sent = sentAt.get(sequence);
      if (sent === undefined || seen.has(sequence)) continue;
      seen.add(sequence);
      latencies.push(at - sent);
    }
    let rows = 0;
    for (const id of [1, 2, 3]) rows += await monitor.rows(id).count();
    const row = {
      'ticks/s': Math.round(total / took),
      symbols: symbols.length,
      'rows in the document': rows,
      published: total,
      'shown one by one': latencies.length,
      'p50 ms': round(percentile(latencies, 0.5)),
      'p95 ms': round(percentile(latencies, 0.95)),
      'p99 ms': round(percentile(latencies, 0.99)),
      'worst ms': round(Math.max(...latencies)),
    };
    console.log(`\nFrom PUBLISH until the frame after the one that drew it, ${height} px high`);
    console.table([row]);
    expect(latencies.length, 'ticks were seen').toBeGreaterThan(total / 20);
    client.close();
    await context.close();
    return row;
  } finally {
    await server.remove();
    await redis.remove();
  }
}
