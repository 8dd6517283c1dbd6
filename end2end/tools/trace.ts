// Where the page's main thread spends its time, from a trace of the browser.

import { writeFileSync } from 'node:fs';
import type { Browser, Page } from '@playwright/test';

/** An event of a trace, as far as it is read here: times in microseconds, `tdur` of the processor. */
type TraceEvent = { name: string; ph: string; pid: number; tid: number; ts: number; dur?: number; tdur?: number; args: Record<string, unknown> };

const CATEGORIES = ['toplevel', 'devtools.timeline', 'v8', 'blink.animations', 'cc'];

export async function startTrace(browser: Browser, page: Page): Promise<void> {
  await browser.startTracing(page, { categories: CATEGORIES });
}

type Row = { what: string; 'ms/s': number; 'times/s': number };

/**
 * Writes the trace into a file, for the browser's own tools. Answers what the busiest page's main thread did, in milliseconds of
 * processor time a second, without what is nested in it; the most first, after the sum of all.
 */
export async function stopTrace(browser: Browser, file: string): Promise<Row[]> {
  const bytes = await browser.stopTracing();
  writeFileSync(file, bytes);
  const { traceEvents } = JSON.parse(bytes.toString()) as { traceEvents: TraceEvent[] };
  const isMain = ({ name, args }: TraceEvent) => name === 'thread_name' && args.name === 'CrRendererMain';
  const threads = traceEvents.filter(isMain).map(({ pid, tid }) => {
    const rows = ownTimes(traceEvents.filter((event) => event.pid === pid && event.tid === tid && event.ph === 'X'));
    return { rows, total: rows.reduce((sum, row) => sum + row['ms/s'], 0) };
  });
  const busiest = threads.toSorted((a, b) => b.total - a.total)[0] ?? { rows: [], total: 0 };
  return [{ what: 'all', 'ms/s': Math.round(busiest.total * 10) / 10, 'times/s': NaN }, ...busiest.rows.slice(0, 20)];
}

function ownTimes(unsorted: TraceEvent[]): Row[] {
  const events = unsorted.toSorted((a, b) => a.ts - b.ts || (b.dur ?? 0) - (a.dur ?? 0));
  const own = new Map<string, { us: number; times: number }>();
  const open: { name: string; end: number }[] = [];
  const add = (name: string, us: number, times: number) => {
    const entry = own.get(name) ?? { us: 0, times: 0 };
    own.set(name, { us: entry.us + us, times: entry.times + times });
  };
  for (const { name, ts, dur = 0, tdur = dur } of events) {
    while (open.length > 0 && (open.at(-1)?.end ?? 0) <= ts) open.pop();
    const parent = open.at(-1);
    if (parent) add(parent.name, -tdur, 0);
    add(name, tdur, 1);
    open.push({ name, end: ts + dur });
  }
  const [first, last] = [events[0], events.at(-1)];
  const seconds = ((last?.ts ?? 0) + (last?.dur ?? 0) - (first?.ts ?? 0)) / 1e6;
  const rows = [...own].map(([what, { us, times }]) => ({
    what,
    'ms/s': Math.round(us / 10 / seconds) / 100,
    'times/s': Math.round((times / seconds) * 10) / 10,
  }));
  return rows.sort((a, b) => b['ms/s'] - a['ms/s']);
}
