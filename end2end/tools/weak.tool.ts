// The page on a weak machine: sixteen connections with 30,000 symbols in a browser that is slowed down four times. Counts frames, and
// how long after a click the page has drawn what it changed, as the browser itself measures it (Event Timing).
// WEAK_TRACE is a file for a trace of the clicks.

import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from '@playwright/test';
import { MonitorPage } from '../fixtures/monitor_page';
import { RedisServer } from '../fixtures/redis';
import { MonitorServer } from '../fixtures/server';
import { countFrames, type Market, percentile, publishFor, round, session, settingsOf } from './load';
import { startTrace, stopTrace } from './trace';

const MARKET: Market = { connections: 16, symbolsEach: 1_875 };
const TICKS_PER_SECOND = 10_000;
const SLOWER = 4;
const SECONDS = 10;
/** Each of the clicks so often. */
const ROUNDS = 5;
/** How long the button is down, as with a quick hand. The click, and what is measured of it, begins when it is let go. */
const PRESS_MS = 60;
/** Before a click, so that it waits for nothing that came before. */
const PAUSE_MS = 700;

/** `whole` is what the browser tells in steps of 8 ms, and nothing under 16: those clicks count as 16. */
type Interaction = { name: string; at: number; delay: number; work: number; whole: number };

test('a weak machine', async ({ browser }) => {
  const redis = await RedisServer.start();
  const server = await MonitorServer.start(settingsOf(redis, MARKET));
  try {
    const storageState = await session(browser, server);
    const context = await browser.newContext({ storageState, viewport: { width: 1440, height: 900 } });
    const monitor = new MonitorPage(await context.newPage(), server);
    await monitor.page.goto(`${server.url}/admin/websockets`);
    await monitor.waitUntilHydrated();
    await monitor.expectLive();
    const client = redis.connect();
    await redis.waitForSubscriber(client);
    const devtools = await context.newCDPSession(monitor.page);
    await devtools.send('Emulation.setCPUThrottlingRate', { rate: SLOWER });
    await publishFor(client, MARKET, TICKS_PER_SECOND, 3);
    const publish = () => publishFor(client, MARKET, TICKS_PER_SECOND, SECONDS);
    const { done: open, framesPerSecond } = await countFrames(monitor, publish);
    console.log(`\n${MARKET.connections} connections, ${MARKET.connections * MARKET.symbolsEach} symbols, ${SLOWER} times slower`);
    console.table([{ 'frames/s': round(framesPerSecond), 'ticks/s': Math.round(open.sentAt.size / open.seconds) }]);

    await watchInteractions(monitor);
    const clicks = [
      monitor.pause,
      monitor.pause,
      monitor.sortBy(1, 'price'),
      monitor.sortBy(2, 'symbol'),
      monitor.rows(1).nth(2),
      monitor.page.getByTestId('fold-data-1'),
      monitor.page.getByTestId('fold-data-1'),
    ];
    if (process.env.WEAK_TRACE) await startTrace(browser, monitor.page);
    const seconds = Math.ceil((ROUNDS * clicks.length * PAUSE_MS) / 1_000) + 8;
    const load = publishFor(client, MARKET, TICKS_PER_SECOND, seconds);
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const target of clicks) {
        // The mouse alone clicks: what Playwright asks of the page before it does would be slowed down, too, and count.
        const box = await target.boundingBox();
        if (!box || box.y + box.height > 900) throw new Error('what is clicked on is not in sight');
        await pause(PAUSE_MS);
        await monitor.page.mouse.click(box.x + box.width / 2, box.y + box.height / 2, { delay: PRESS_MS });
      }
    }
    const interactions = await monitor.page.evaluate(() => Reflect.get(window, 'interactions') as Interaction[]);
    if (process.env.WEAK_TRACE) console.table(await stopTrace(browser, process.env.WEAK_TRACE));
    await load;
    report(interactions);
    expect(interactions.length, 'clicks were measured').toBe(ROUNDS * clicks.length);
    client.close();
    await context.close();
  } finally {
    await server.remove();
    await redis.remove();
  }
});

/** Lets the page note each click: how long until it got to it, worked on it, and had drawn it, in milliseconds. */
async function watchInteractions(monitor: MonitorPage): Promise<void> {
  await monitor.page.evaluate(() => {
    const interactions: Interaction[] = [];
    Object.assign(window, { interactions });
    const note = (event: Event) => {
      const named = event.target instanceof Element ? event.target.closest('[data-testid]') : null;
      const name = named?.getAttribute('data-testid') ?? '?';
      interactions.push({ name, at: event.timeStamp, delay: 0, work: 0, whole: 16 });
    };
    window.addEventListener('click', note, { capture: true });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as PerformanceEventTiming[]) {
        const noted = interactions.find(({ at }) => entry.name === 'click' && at === entry.startTime);
        if (!noted) continue;
        noted.delay = entry.processingStart - entry.startTime;
        noted.work = entry.processingEnd - entry.processingStart;
        noted.whole = entry.duration;
      }
    }).observe({ type: 'event', durationThreshold: 16 } as PerformanceObserverInit);
  });
}

function report(interactions: Interaction[]): void {
  const names = [...new Set(interactions.map(({ name }) => (name.startsWith('row-') ? 'a row' : name)))];
  const rows = [...names, 'all'].map((name) => {
    const own = interactions.filter((one) => name === 'all' || one.name === name || (name === 'a row' && one.name.startsWith('row-')));
    const of = (what: 'delay' | 'work' | 'whole', part: number) => round(percentile(own.map((one) => one[what]), part));
    return {
      'click on': name,
      times: own.length,
      'until the page gets to it, ms': of('delay', 0.5),
      'work, ms': of('work', 0.5),
      'until drawn, median, ms': of('whole', 0.5),
      'worst, ms': of('whole', 1),
    };
  });
  console.table(rows);
}
