// What the measurements of the page stand on: a monitor with many symbols, ticks at an even pace over Redis, and figures.

import { setTimeout as pause } from 'node:timers/promises';
import type { Browser } from '@playwright/test';
import { MonitorPage } from '../fixtures/monitor_page';
import type { RedisClient, RedisServer } from '../fixtures/redis';
import type { MonitorServer, Settings } from '../fixtures/server';

/** So many connections with so many symbols each. */
export type Market = { connections: number; symbolsEach: number };

export function percentile(values: number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

export function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** The state of a browser that is signed in. */
export async function session(browser: Browser, server: MonitorServer) {
  const context = await browser.newContext();
  await new MonitorPage(await context.newPage(), server).signIn();
  const storageState = await context.storageState();
  await context.close();
  return storageState;
}

/** `BA000`, `BA001`, … of the first connection, `BB000` of the second. */
export function symbolsOf(connection: number, count: number): string[] {
  const digits = String(count - 1).length;
  const letter = String.fromCharCode(64 + connection);
  return Array.from({ length: count }, (_, place) => `B${letter}${String(place).padStart(digits, '0')}`);
}

const ids = ({ connections }: Market) => Array.from({ length: connections }, (_, place) => place + 1);

/** A monitor that reads ticks from Redis. */
export function settingsOf(redis: RedisServer, market: Market): Settings {
  const settings: Settings = {
    MARKET_FEED: 'redis',
    REDIS_URL: redis.url,
    USE_MULTI_CONNECTION: 'true',
    WEBSOCKET_CONNECTIONS_MAX: String(Math.max(3, market.connections)),
  };
  for (const id of ids(market)) {
    settings[`WEBSOCKET_CONNECTION_${id}_ENABLED`] = 'true';
    settings[`WEBSOCKET_CONNECTION_${id}_SYMBOLS`] = symbolsOf(id, market.symbolsEach).join(',');
  }
  return settings;
}

let sequence = 10_000;

/**
 * Publishes at an even pace, every symbol in its turn; answers when each tick was sent, by its sequence number, which is its
 * price in cents.
 */
export async function publishFor(client: RedisClient, market: Market, ticksPerSecond: number, seconds: number) {
  const symbols = ids(market).flatMap((connection) =>
    symbolsOf(connection, market.symbolsEach).map((symbol) => ({ symbol, connection })),
  );
  const sentAt = new Map<number, number>();
  const total = ticksPerSecond * seconds;
  const begin = performance.now();
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - begin) / 1_000) * ticksPerSecond));
    for (; sent < due; sent += 1) {
      // Seven shares no factor with the number of symbols: neighbours do not tick together.
      const { symbol, connection } = symbols[(sent * 7) % symbols.length] ?? { symbol: '', connection: 1 };
      sequence += 1;
      sentAt.set(sequence, performance.timeOrigin + performance.now());
      void client.publish({ symbol, price: sequence / 100, connection_id: connection });
    }
    await pause(1);
  }
  const took = (performance.now() - begin) / 1_000;
  await client.command('PING');
  await pause(500);
  return { sentAt, seconds: took };
}

/** Does something, and answers with what that answers how many frames a second the page drew meanwhile. */
export async function countFrames<T>(monitor: MonitorPage, work: () => Promise<T>): Promise<{ done: T; framesPerSecond: number }> {
  await monitor.page.evaluate(() => {
    const frames = { begun: performance.now(), count: 0, ended: false };
    Object.assign(window, { frameCount: frames });
    const count = () => {
      if (frames.ended) return;
      frames.count += 1;
      requestAnimationFrame(count);
    };
    requestAnimationFrame(count);
  });
  const done = await work();
  const framesPerSecond = await monitor.page.evaluate(() => {
    const frames = Reflect.get(window, 'frameCount') as { begun: number; count: number; ended: boolean };
    frames.ended = true;
    return (frames.count * 1_000) / (performance.now() - frames.begun);
  });
  return { done, framesPerSecond };
}
