// How fast the past is shown, in a real browser: a drag along the bar until the moment is drawn, and frames a second while it is played
// at 60 times. RECORDING_DIR is a folder that `bench recording --fill FOLDER` has filled.

import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from '@playwright/test';
import { MonitorPage } from '../fixtures/monitor_page';
import { MonitorServer } from '../fixtures/server';

const DRAGS = Number(process.env.BENCH_DRAGS ?? 100);

test('the past', async ({ page }) => {
  const folder = process.env.RECORDING_DIR;
  test.skip(!folder, 'RECORDING_DIR is not set');
  const server = await MonitorServer.start({ RECORDING_DIR: folder ?? '', RECORDING_KEPT_HOURS: '48' });
  try {
    const monitor = new MonitorPage(page, server);
    await monitor.signIn();
    const at = new Date(Date.now() - 12 * 3_600_000).toISOString();
    await page.goto(`${server.url}/admin/replay?at=${at}&window=24h`);
    await monitor.waitUntilHydrated();
    const past = page.getByTestId('past');
    await expect(past).toHaveAttribute('data-arrived', 'true');
    const taken = await page.evaluate(async (drags) => {
      const [past, track] = ['past', 'moment'].map((id) => document.querySelector(`[data-testid=${id}]`));
      if (!past || !track) throw new Error('no bar');
      const box = track.getBoundingClientRect();
      const point = (kind: string, x: number) =>
        track.dispatchEvent(
          new PointerEvent(kind, { bubbles: true, clientX: x, clientY: box.top + 10, pointerId: 1, button: 0, buttons: kind === 'pointerup' ? 0 : 1 }),
        );
      const frame = () => new Promise((next) => requestAnimationFrame(next));
      const taken: number[] = [];
      for (let drag = 0; drag < drags; drag += 1) {
        const [before, began] = [past.getAttribute('data-at'), performance.now()];
        const x = box.left + box.width * (0.02 + 0.96 * Math.random());
        point('pointerdown', x);
        point('pointerup', x);
        do await frame();
        while ((past.getAttribute('data-at') === before || past.getAttribute('data-arrived') !== 'true') && performance.now() - began < 5_000);
        taken.push(performance.now() - began);
      }
      return taken.sort((a, b) => a - b);
    }, DRAGS);
    const part = (of: number) => taken[Math.floor(taken.length * of)]?.toFixed(0);
    console.log(`\nA moment of 24 hours is drawn after ${part(0.5)} ms (p50), ${part(0.95)} ms (p95), ${DRAGS} times`);

    await page.goto(`${server.url}/admin/replay?at=${at}&window=1h`);
    await monitor.waitUntilHydrated();
    await page.getByTestId('speed').selectOption('60×');
    await page.getByTestId('play').click();
    await expect(past).toHaveAttribute('data-playing', 'true');
    await pause(2_000);
    const played = await page.evaluate(async () => {
      const past = document.querySelector('[data-testid=past]');
      const at = () => Number(past?.getAttribute('data-at'));
      const [from, began] = [at(), performance.now()];
      const gaps: number[] = [];
      let [last, drawn, shown] = [began, 0, from];
      while (performance.now() - began < 10_000) {
        await new Promise((next) => requestAnimationFrame(next));
        const now = performance.now();
        gaps.push(now - last);
        if (at() !== shown) [drawn, shown] = [drawn + 1, at()];
        last = now;
      }
      const seconds = (performance.now() - began) / 1000;
      const worst = gaps.sort((a, b) => a - b).at(Math.floor(gaps.length * 0.99));
      return { frames: gaps.length / seconds, moments: drawn / seconds, worst, speed: (at() - from) / 1000 / seconds };
    });
    console.log(
      `At 60 times: ${played.frames.toFixed(1)} frames/s, ${played.moments.toFixed(1)} of them with another moment, ` +
        `p99 ${played.worst?.toFixed(0)} ms between frames; ${played.speed.toFixed(1)} s of the past a second`,
    );
  } finally {
    await server.remove();
  }
});
