// How fast the page is, in a real browser against the real server: the time to load, the time from a tick's
// PUBLISH on Redis until the page has drawn it, and what a page costs that is left open. Prints tables,
// and JSON into BENCH_JSON when set. BENCH_OPEN_SECONDS is how long it is left open: 20 by default, 300 for a verdict;
// BENCH_TRACES is a folder for traces of it. BENCH_BUSY=2 measures latency beside two processes that keep a core busy each.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Browser, expect, test } from '@playwright/test';
import { MonitorPage } from '../fixtures/monitor_page';
import { RedisServer } from '../fixtures/redis';
import { MonitorServer } from '../fixtures/server';
import { countFrames, type Market, percentile, publishFor, round, session, settingsOf } from './load';
import { startTrace, stopTrace } from './trace';
import { openVanillaPage } from './vanilla_page';

const LOADS = Number(process.env.BENCH_LOADS ?? 7);
const TICKS_PER_SECOND = Number(process.env.BENCH_TICKS_PER_SECOND ?? 1_000);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 10);
const MARKET: Market = { connections: 3, symbolsEach: 100 };
const OPEN_SECONDS = Number(process.env.BENCH_OPEN_SECONDS ?? 20);

/** So many other processes keep a core busy each while latency is measured. */
const BUSY = Number(process.env.BENCH_BUSY ?? 0);

/** A folder for traces of the pages that are left open, which are then told part by part; none are made without it. */
const TRACES = process.env.BENCH_TRACES;

const results: Record<string, unknown> = {};

test.afterAll(() => {
  if (process.env.BENCH_JSON) writeFileSync(process.env.BENCH_JSON, `${JSON.stringify(results, null, 2)}\n`);
});

/**
 * Starts `count` processes that take all the processor time that they can get. Each has a session of its own, as another program on the
 * machine has: Linux shares its cores among sessions first, and in ours they would take from the measurement what the page could have.
 * What it returns ends them and says how much of a core they used, in percent.
 */
function keepBusy(count: number): () => number {
  const since = performance.now();
  const others = Array.from({ length: count }, () => spawn('sh', ['-c', 'while :; do :; done'], { detached: true }));
  return () => {
    const used = others.map(({ pid }) => {
      // Time in user mode and in the kernel, in hundredths of a second (proc(5)).
      const [user, system] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ').slice(13, 15).map(Number);
      return (user ?? NaN) + (system ?? NaN);
    });
    others.forEach((other) => other.kill());
    return Math.round((used.reduce((sum, each) => sum + each, 0) * 10 * 100) / (performance.now() - since));
  };
}

type Load = Record<string, number>;

/** Of the milliseconds by which each load came so far: median and worst, as a table and in the results. */
function report(title: string, key: string, loads: Load[]): void {
  const table = Object.keys(loads[0] ?? {}).map((name) => {
    const values = loads.map((load) => load[name] ?? NaN);
    return { 'ms from navigation': name, median: round(percentile(values, 0.5)), worst: round(Math.max(...values)) };
  });
  console.log(`\n${title}, nothing cached, ${loads.length} times`);
  console.table(table);
  results[key] = Object.fromEntries(table.map(({ 'ms from navigation': name, median, worst }) => [name, { median, worst }]));
}

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
    report('Loading the dashboard', 'load_ms', loads);
  } finally {
    await server.remove();
  }
});

// The longest range of the full metrics, over ninety days of three connections, 100,000 events and 1,000 gaps.
test('loading ninety days', async ({ browser }) => {
  const folder = mkdtempSync(join(tmpdir(), 'tickstock-bench-'));
  const database = join(folder, 'monitor.db');
  execFileSync(resolve(__dirname, '../../target/release/bench'), ['history', '--fill', database]);
  const server = await MonitorServer.start({ DATABASE_URL: `sqlite://${database}` });
  try {
    const storageState = await session(browser, server);
    for (const range of ['5m', '24h', '90d']) {
      const loads: Load[] = [];
      for (let run = 0; run < LOADS; run += 1) {
        const context = await browser.newContext({ storageState, viewport: { width: 1440, height: 900 } });
        const page = await context.newPage();
        await page.goto(`${server.url}/admin/metrics?range=${range}`, { waitUntil: 'commit' });
        await page.waitForSelector('body[data-hydrated]');
        loads.push(
          await page.evaluate(() => {
            const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
            const paint = performance.getEntriesByName('first-contentful-paint')[0];
            return {
              first_byte: navigation?.responseStart ?? NaN,
              first_paint: paint?.startTime ?? NaN,
              whole: navigation?.responseEnd ?? NaN,
              hydrated: performance.now(),
            };
          }),
        );
        await context.close();
      }
      report(`Loading the full metrics of ${range}`, `load_metrics_${range}_ms`, loads);
    }
  } finally {
    await server.remove();
    rmSync(folder, { recursive: true, force: true });
  }
});

// What a page costs that is left open: the second load is three times Massive's whole stock market. Beside ours a page
// written by hand that does nothing but show prices, as the floor.
for (const [symbolsEach, ticksPerSecond] of [[100, 1_000], [10_000, 10_000]] as const) {
  for (const which of ['ours', 'vanilla'] as const) {
    test(`left open, ${which}, ${3 * symbolsEach} symbols, ${ticksPerSecond} ticks/s`, async ({ browser }) => {
      test.setTimeout((OPEN_SECONDS + 180) * 1_000);
      const row = await leftOpen(browser, which, { connections: 3, symbolsEach }, ticksPerSecond);
      results[`left_open_${which}_${3 * symbolsEach}`] = row;
      const title = which === 'ours' ? 'The page, sorted by rate' : 'A page written by hand, in no order';
      console.log(`\n${title}, left open for ${OPEN_SECONDS} s with ${3 * symbolsEach} symbols`);
      console.table([row]);
    });
  }
}

async function leftOpen(
  browser: Browser,
  which: 'ours' | 'vanilla',
  market: Market,
  ticksPerSecond: number,
) {
  const redis = await RedisServer.start();
  const server = await MonitorServer.start(settingsOf(redis, market));
  try {
    const storageState = await session(browser, server);
    const bypassCSP = which === 'vanilla';
    const context = await browser.newContext({ storageState, viewport: { width: 1440, height: 900 }, bypassCSP });
    const monitor = new MonitorPage(await context.newPage(), server);
    if (which === 'ours') {
      // A live order, as the dearest thing that a reader may ask for.
      await monitor.page.goto(`${server.url}/admin/websockets?sort1=-rate&sort2=-price`);
      await monitor.waitUntilHydrated();
      await monitor.expectLive();
    } else {
      await openVanillaPage(monitor.page, server.url, market.symbolsEach);
    }
    const client = redis.connect();
    await redis.waitForSubscriber(client);
    const devtools = await context.newCDPSession(monitor.page);
    await devtools.send('Performance.enable');
    const metrics = async () => {
      await devtools.send('HeapProfiler.collectGarbage');
      const { metrics } = await devtools.send('Performance.getMetrics');
      return Object.fromEntries(metrics.map(({ name, value }) => [name, value])) as Record<string, number>;
    };
    await publishFor(client, market, ticksPerSecond, 3);
    const before = await metrics();
    const publish = () => publishFor(client, market, ticksPerSecond, OPEN_SECONDS);
    const { done: open, framesPerSecond } = await countFrames(monitor, publish);
    const after = await metrics();
    // What follows costs the page something, too.
    if (TRACES) {
      await startTrace(browser, monitor.page);
      await publishFor(client, market, ticksPerSecond, 10);
      console.table(await stopTrace(browser, join(TRACES, `${which}_${3 * market.symbolsEach}.json`)));
    }
    await watchDrawing(monitor);
    const { sentAt } = await publishFor(client, market, ticksPerSecond, SECONDS);
    const delays = await drawn(monitor, sentAt);
    const spent = (name: string) => (after[name] ?? NaN) - (before[name] ?? NaN);
    const megabytes = (bytes = NaN) => round(bytes / 1_048_576);
    client.close();
    await context.close();
    return {
      'frames/s': round(framesPerSecond),
      'main thread': `${round((spent('TaskDuration') / spent('Timestamp')) * 100)} %`,
      'script': `${round((spent('ScriptDuration') / spent('Timestamp')) * 100)} %`,
      'heap before': `${megabytes(before.JSHeapUsedSize)} MB`,
      'heap after': `${megabytes(after.JSHeapUsedSize)} MB`,
      'nodes before': before.Nodes,
      'nodes after': after.Nodes,
      'ticks/s': Math.round(open.sentAt.size / open.seconds),
      'p50 ms': round(percentile(delays, 0.5)),
      'p99 ms': round(percentile(delays, 0.99)),
      drawn: delays.length,
    };
  } finally {
    await server.remove();
    await redis.remove();
  }
}

// A desktop's screen, beside a page written by hand as the floor, and one so high that every row of a column is in the document.
for (const [which, height] of [['ours', 900], ['vanilla', 900], ['ours', 3_400]] as const) {
  test(`latency, ${which}, ${height} px high`, async ({ browser }) => {
    results[`latency_${which}_${height}_px`] = await latency(browser, which, height);
  });
}

async function latency(browser: Browser, which: 'ours' | 'vanilla', height: number): Promise<Record<string, number>> {
  const redis = await RedisServer.start();
  const server = await MonitorServer.start(settingsOf(redis, MARKET));
  try {
    const storageState = await session(browser, server);
    const bypassCSP = which === 'vanilla';
    const context = await browser.newContext({ storageState, viewport: { width: 1440, height }, bypassCSP });
    const monitor = new MonitorPage(await context.newPage(), server);
    if (which === 'ours') {
      await monitor.page.goto(`${server.url}/admin/websockets`);
      await monitor.waitUntilHydrated();
      await monitor.expectLive();
    } else {
      await openVanillaPage(monitor.page, server.url, MARKET.symbolsEach);
    }
    const client = redis.connect();
    await redis.waitForSubscriber(client);

    await watchDrawing(monitor);
    const stopOthers = keepBusy(BUSY);
    await publishFor(client, MARKET, TICKS_PER_SECOND, 1);
    const publish = () => publishFor(client, MARKET, TICKS_PER_SECOND, SECONDS);
    const { done, framesPerSecond } = await countFrames(monitor, publish);
    const { sentAt, seconds } = done;
    const othersUsed = stopOthers();
    const latencies = await drawn(monitor, sentAt);
    let rows = 0;
    for (const id of [1, 2, 3]) rows += await monitor.rows(id).count();
    const row = {
      'frames/s': round(framesPerSecond),
      'ticks/s': Math.round(sentAt.size / seconds),
      symbols: MARKET.connections * MARKET.symbolsEach,
      'rows in the document': rows,
      published: sentAt.size,
      'shown one by one': latencies.length,
      'p50 ms': round(percentile(latencies, 0.5)),
      'p95 ms': round(percentile(latencies, 0.95)),
      'p99 ms': round(percentile(latencies, 0.99)),
      'worst ms': round(Math.max(...latencies)),
    };
    const beside = BUSY > 0 ? `, beside ${BUSY} processes that used ${othersUsed} % of a core` : '';
    console.log(`\nFrom PUBLISH until the frame after the one that drew it, ${which}, ${height} px high${beside}`);
    console.table([row]);
    expect(latencies.length, 'ticks were seen').toBeGreaterThan(sentAt.size / 20);
    client.close();
    await context.close();
    return row;
  } finally {
    await server.remove();
    await redis.remove();
  }
}

/**
 * Lets the page note which prices it drew when. A price that a row has as it comes into
 * sight, after a scroll or in a new order, may be old: how long it took to be drawn cannot be told from it. Nor can it of rows
 * out of sight, which are written once a second.
 */
async function watchDrawing(monitor: MonitorPage): Promise<void> {
  await monitor.page.evaluate(() => {
    // [sequence number, Unix milliseconds of the frame after the one that drew it]
    Object.assign(window, { shown: [] });
    const unseen = new Set<Element>();
    const sight = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) isIntersecting ? unseen.delete(target) : unseen.add(target);
    });
    for (const row of document.querySelectorAll('.table-window > .table-row')) sight.observe(row);
    let drawn: number[] = [];
    const look = (records: MutationRecord[]) => {
      const arrived = new Set(records.filter(({ type }) => type === 'attributes').map(({ target }) => target));
      for (const record of records) {
        const element = record.target instanceof Element ? record.target : record.target.parentElement;
        const cell = element?.closest('[data-cell=price]');
        const row = cell?.closest('[data-symbol]');
        if (!cell || (row && (arrived.has(row) || unseen.has(row)))) continue;
        if (drawn.length === 0) {
          requestAnimationFrame(() => {
            const now = performance.timeOrigin + performance.now();
            const shown = Reflect.get(window, 'shown') as [number, number][];
            for (const sequence of drawn) shown.push([sequence, now]);
            drawn = [];
          });
        }
        // The price is the sequence number in cents.
        drawn.push(Number(cell.textContent?.replaceAll(/\D/g, '')));
      }
    };
    const attributeFilter = ['data-symbol', 'hidden'];
    const what = { subtree: true, childList: true, characterData: true, attributeFilter };
    new MutationObserver(look).observe(document.body, what);
  });
}

/** How long it took until each price was drawn that was seen one by one, in milliseconds. */
async function drawn(monitor: MonitorPage, sentAt: Map<number, number>): Promise<number[]> {
  const shown = await monitor.page.evaluate(() => Reflect.get(window, 'shown') as [number, number][]);
  const seen = new Set<number>();
  const delays: number[] = [];
  for (const [sequence, at] of shown) {
    const sent = sentAt.get(sequence);
    if (sent === undefined || seen.has(sequence)) continue;
    seen.add(sequence);
    delays.push(at - sent);
  }
  return delays;
}
