import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expectAccessible } from '../fixtures/axe';
import { MetricsPage } from '../fixtures/metrics_page';
import { MonitorPage } from '../fixtures/monitor_page';
import { expect, test } from '../fixtures/test';

/** The moment that is shown, in Unix milliseconds, once the reader has arrived there. */
async function shownAt(page: Page): Promise<number> {
  const bar = page.getByTestId('past');
  await expect(bar).toHaveAttribute('data-arrived', 'true');
  return Number(await bar.getAttribute('data-at'));
}

test('an incident is found from its gap, stepped through by keys, kept, exported and opened elsewhere', async ({ page, browser, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await expect(monitor.state(id)).toHaveText('connected', { timeout: 20_000 });
  const { server } = monitor;
  const metrics = new MetricsPage(page, server);
  await metrics.waitForSeconds(2, 5);
  await server.control({ fault: 'drop', connection: 2 });
  await expect.poll(async () => (await metrics.gaps(2))[0]?.first_tick_at, { timeout: 30_000 }).toBeTruthy();

  await metrics.goto();
  await metrics.waitUntilHydrated();
  await metrics.gap('2-1').getByTestId('replay').click();
  await expect(page).toHaveURL(/\/admin\/replay\?at=[^&]+&window=60s/);
  await monitor.waitUntilHydrated();
  await expect(page).toHaveTitle(/^Past, \d\d:\d\d:\d\d New York · TickStock Monitor$/);
  await expect(page.getByTestId('past-status')).toHaveText(/^Past, \d\d:\d\d:\d\d New York/);
  await expect(page.getByTestId('link'), 'nothing says live').toHaveCount(0);
  await expect(page.getByTestId('refresh')).toHaveCount(0);
  await expect(monitor.state(2), 'right before it').toHaveText('connected');
  await expect(monitor.rows(1).first().locator('[data-cell=price]')).toHaveText(/\d\.\d\d/);
  await expectAccessible(page, 'the past');

  const states: string[] = [];
  for (let steps = 0; steps < 8 && states.at(-1) !== 'connected'; steps += 1) {
    const before = await shownAt(page);
    await page.keyboard.press(']');
    await expect.poll(() => shownAt(page)).toBeGreaterThan(before);
    states.push((await monitor.state(2).textContent()) ?? '');
  }
  expect(states, 'as it was, and no further').toEqual(expect.arrayContaining(['reconnecting']));
  await page.keyboard.press('[');
  await expect(monitor.state(2)).not.toHaveText('connected');

  const here = await shownAt(page);
  await page.keyboard.press('ArrowLeft');
  await expect.poll(async () => Math.abs((await shownAt(page)) - here + 1_000)).toBeLessThan(300);
  await page.keyboard.press('.');
  await expect.poll(() => shownAt(page)).toBeGreaterThan(here - 1_300);
  await page.keyboard.press('Space');
  await expect(page.getByTestId('play')).toHaveText('Pause');
  await expect.poll(async () => Number(await page.getByTestId('past').getAttribute('data-at'))).toBeGreaterThan(here);
  await page.keyboard.press('Space');
  await expect(page.getByTestId('play')).toHaveText('Play');
  await page.keyboard.press('Home');
  const first = await shownAt(page);
  expect(first).toBeLessThan(here);
  await page.keyboard.press('g');
  await expect(page.getByTestId('past-note')).toContainText('#2-1');
  await page.keyboard.press(']');
  await expect(monitor.state(2)).toHaveText(states[0] ?? '');

  const track = page.getByTestId('moment');
  const box = await track.boundingBox();
  if (!box) throw new Error('no track');
  await page.mouse.move(box.x + box.width * 0.2, box.y + 10);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 10, { steps: 8 });
  await page.mouse.up();
  await expect(track).toHaveAttribute('aria-valuetext', /^Past, \d\d:\d\d:\d\d New York, \d\d:\d\d:\d\d UTC$/);
  await page.keyboard.press('Home');
  await page.keyboard.press('g');
  await page.keyboard.press(']');
  await expect(monitor.state(2)).toHaveText(states[0] ?? '');

  await page.getByTestId('keep').click();
  await page.getByTestId('keep-note').fill('the drop of connection 2');
  await page.getByTestId('keep-now').click();
  await expect(page.getByTestId('keep-answer')).toHaveText('Kept.');
  await expect(page.getByTestId('kept')).toContainText('the drop of connection 2');
  await expectAccessible(page, 'the past, what is kept');
  await page.keyboard.press('Escape');
  await page.getByTestId('export').click();
  const csv = await page.request.get(server.url + ((await page.getByTestId('export-csv').getAttribute('href')) ?? ''));
  expect(csv.status()).toBe(200);
  const lines = (await csv.text()).trim().split('\n');
  expect(lines[0]).toContain('received_at');
  expect(lines.length).toBeGreaterThan(50);
  await page.keyboard.press('Escape');
  await page.getByTestId('compare').click();
  await page.getByTestId('compare-now').click();
  await expect(page.getByTestId('differences')).toContainText(`Connection 2 was ${states[0]} and is connected.`);
  await page.keyboard.press('Escape');

  const moment = await shownAt(page);
  await expect.poll(() => page.url()).toContain(new Date(moment).toISOString());
  // What was not kept goes, as it does when the recording is full.
  const folder = join(server.folder, 'data', 'recording');
  const files = readdirSync(folder).filter((file) => file.endsWith('.rec'));
  expect(files).not.toEqual([]);
  for (const file of files) rmSync(join(folder, file));
  const other = await browser.newContext({ storageState: await page.context().storageState() });
  const colleague = new MonitorPage(await other.newPage(), server);
  await colleague.page.goto(page.url());
  await colleague.waitUntilHydrated();
  await expect(colleague.state(2)).toHaveText(states[0] ?? '');
  expect(Math.abs((await shownAt(colleague.page)) - moment)).toBeLessThan(300);
  await other.close();

  // What is deleted does not come back, so one press only asks, and looking elsewhere takes it back.
  await page.getByTestId('keep').click();
  const drop = page.getByTestId('drop');
  await drop.click();
  await expect(drop).toHaveText('Delete for good?');
  await page.getByTestId('keep-note').focus();
  await expect(drop).toHaveText('Delete');
  await drop.click();
  await drop.click();
  await expect(page.getByTestId('keep-answer')).toHaveText('Deleted.');
  await expect(page.getByTestId('kept')).toHaveCount(0);
  await page.keyboard.press('Escape');

  await page.keyboard.press('l');
  await expect(page).toHaveURL(/\/admin\/websockets$/);
});

test('what is lost is said with what is left, and without a recording nothing leads to it', async ({ page, openMonitor }) => {
  const { server } = await openMonitor();
  await page.goto(`${server.url}/admin/replay?at=2020-01-02T10:42:00Z&window=60s`);
  await new MonitorPage(page, server).waitUntilHydrated();
  const notice = page.getByTestId('not-recorded');
  await expect(notice).toContainText('This moment is not recorded.');
  await expect(page.getByTestId('what-is-left')).toHaveAttribute('href', /^\/admin\/metrics\?from=2020-01-02T10:37/);
  await expectAccessible(page, 'a moment that is lost');
  await page.getByTestId('nearest').click();
  await expect(notice).toHaveCount(0);
  expect(await shownAt(page)).toBeGreaterThan(Date.now() - 120_000);
});

test('a server that records nothing says so, and its ledger leads nowhere', async ({ page, openMonitor }) => {
  const { server } = await openMonitor({ RECORDING: 'false' });
  await page.goto(`${server.url}/admin/replay`);
  await expect(page.getByTestId('no-replay')).toContainText('RECORDING=false');
  await page.goto(`${server.url}/admin/audit`);
  await expect(page.getByTestId('record').first()).toBeVisible();
  await expect(page.getByTestId('replay')).toHaveCount(0);
});
