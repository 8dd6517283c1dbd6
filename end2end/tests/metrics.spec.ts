import type { Page } from '@playwright/test';
import { expectAccessible } from '../fixtures/axe';
import { NETWORK_LOST, answered } from '../fixtures/errors';
import { MetricsPage } from '../fixtures/metrics_page';
import { MonitorPage } from '../fixtures/monitor_page';
import { expect, test } from '../fixtures/test';

/** Three connections that tick, and so many seconds of history; what is usual is known after nine. */
async function withHistory(monitor: MonitorPage, seconds = 3): Promise<MetricsPage> {
  for (const id of [1, 2, 3]) await expect(monitor.state(id)).toHaveText('connected', { timeout: 20_000 });
  const metrics = new MetricsPage(monitor.page, monitor.server);
  await metrics.waitForSeconds(3, seconds);
  return metrics;
}

test('a drop, a silence and an eviction are in the charts, the ledger and the timeline', async ({ page, openMonitor }) => {
  const metrics = await withHistory(await openMonitor(), 9);
  await metrics.server.control({ fault: 'drop', connection: 1 });
  await expect.poll(async () => (await metrics.gaps(1))[0]?.first_tick_at, { timeout: 30_000 }).toBeTruthy();
  await metrics.server.control({ fault: 'stall', connection: 3 });
  await expect.poll(async () => (await metrics.gaps(3))[0]?.cause, { timeout: 30_000 }).toBe('mute');
  await metrics.server.control({ fault: 'evict', connection: 2 });
  await expect.poll(async () => (await metrics.gaps(2))[0]?.cause, { timeout: 30_000 }).toBe('too_many_connections');

  await expect(page.getByTestId('reliability-1')).toContainText('Available');
  await page.getByRole('link', { name: 'Full metrics' }).click();
  await expect(page).toHaveURL(/\/admin\/metrics$/);
  await metrics.goto();
  await metrics.waitUntilHydrated();
  for (const [name, cause, end] of [['1-1', 'dropped', /\d\d:\d\d:\d\d/], ['2-1', 'connection limit', /ongoing/], ['3-1', 'mute', /ongoing/]] as const) {
    await expect(metrics.gap(name)).toContainText(cause);
    await expect(metrics.gap(name).getByTestId('gap-end')).toHaveText(end);
  }
  const gaps = await metrics.gapPaths('ticks');
  expect(Object.keys(gaps), 'a strip for each connection in every chart').toEqual(['1', '2', '3']);
  for (const path of Object.values(gaps)) expect(path).toMatch(/^M\d+ \d+h\d+v\d+h-\d+z$/);
  expect(await metrics.gapPaths('reconnects')).toEqual(gaps);
  expect(await metrics.path('ticks', 'line'), 'a line').toMatch(/^M\d+ \d+h0L/);
  await expect(metrics.value('state', 2)).toHaveText('failed');
  await expect(metrics.value('state', 3)).toHaveText('mute');

  const gap = metrics.gap('1-1');
  await gap.getByRole('textbox').fill('filled from flat files');
  await gap.getByRole('button', { name: 'Acknowledge' }).click();
  await expect(gap).toContainText(/admin@example.com.*filled from flat files/);
  await expect(gap.getByRole('textbox'), 'once').toHaveCount(0);
  await expect(gap, 'the keyboard goes on at the gap').toBeFocused();
  await expect(page.getByTestId('timeline'), 'audited, and in the timeline').toContainText('gap acknowledge');
  await gap.getByText('Add a note').click();
  await gap.getByRole('textbox').fill('half of it, in fact');
  await gap.getByRole('button', { name: 'Add' }).click();
  await expect(gap, 'both are kept').toContainText(/filled from flat files.*admin@example.com.*half of it, in fact/);
  await expect(gap).toBeFocused();

  await metrics.gap('3-1').getByRole('textbox').fill('asked the prov');
  await metrics.server.control({ fault: 'clear', connection: 3 });
  await expect(metrics.gap('3-1').getByTestId('gap-end'), 'live').toHaveText(/\d\d:\d\d:\d\d/, { timeout: 20_000 });
  await expect(metrics.gap('3-1').getByRole('textbox'), 'a note being written stays').toHaveValue('asked the prov');
  await expect(metrics.value('state', 3)).toHaveText('connected', { timeout: 20_000 });

  await page.getByTestId('table-latency').locator('summary').click();
  await expectAccessible(page, 'full metrics with gaps');
  const ledger = page.getByTestId('gaps');
  await page.evaluate(() => scrollTo(0, 0));
  expect((await ledger.boundingBox())?.y, 'gaps stand beside the charts').toBeLessThan(300);
  expect(await smallTargets(page), 'at 1440').toEqual([]);
  await page.setViewportSize({ width: 390, height: 844 });
  expect(await smallTargets(page), 'at 390').toEqual([]);
  await page.emulateMedia({ media: 'print' });
  const cut = await ledger.evaluate(({ scrollHeight, clientHeight }) => scrollHeight - clientHeight);
  expect(cut, 'paper does not scroll').toBe(0);
});

/** What of the page's content a finger would miss. */
async function smallTargets(page: Page): Promise<string[]> {
  return page.locator('main').evaluate((main) =>
    [...main.querySelectorAll('a, button, summary, input:not([type=hidden]), [role=slider]')]
      .filter((target) => target.checkVisibility())
      .filter((target) => Math.min(target.getBoundingClientRect().width, target.getBoundingClientRect().height) < 23.5)
      .map((target) => target.outerHTML.slice(0, 120)),
  );
}

test('a drag or the keys zoom in, steps lead on, and the address holds every choice', async ({ page, openMonitor }) => {
  const metrics = await withHistory(await openMonitor());
  await metrics.goto();
  await metrics.waitUntilHydrated();
  // A choice adds to the one before, whose figures are still on their way.
  let answer = () => {};
  const answers = new Promise<void>((resolve) => {
    answer = resolve;
  });
  await page.route('**/api/admin/fn/history', async (route) => {
    await answers;
    await route.continue();
  });
  await page.getByTestId('only-1').click();
  await expect(page).toHaveURL(/connection=1$/);
  await expect(page.getByTestId('only-1')).toHaveAttribute('aria-current', 'true');
  await page.getByTestId('only-3').press('Enter');
  await expect(page).toHaveURL(/range=5m&connection=1,3$/);
  answer();
  await page.unrouteAll({ behavior: 'wait' });
  await expect(page).toHaveURL(/range=5m&connection=1,3$/);
  await expect(page.getByTestId('only-3'), 'chosen with the keyboard, and on from there').toHaveAttribute('aria-current', 'true');
  await expect(page.getByTestId('only-3')).toBeFocused();
  await expect(metrics.value('ticks', 2)).toHaveCount(0);
  await page.getByTestId('latency-p50').click();
  await expect(page).toHaveURL(/range=5m&connection=1,3&latency=p50$/);
  await expect(page.getByTestId('latency-p50')).toHaveAttribute('aria-current', 'true');
  await expect(metrics.chart('latency').locator('.plot-line'), 'one for each connection').toHaveCount(2);

  const plot = metrics.chart('ticks').locator('.plot').first();
  const box = (await plot.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
  const [x, y] = [(share: number) => box.x + share * box.width, box.y + 20];
  await page.mouse.move(x(0.5), y);
  await page.mouse.down();
  await page.mouse.move(x(0.75), y, { steps: 3 });
  await page.mouse.move(x(0.995), y);
  await expect(metrics.chart('ticks').getByTestId('readout'), 'the values at the pointer').toHaveText(/^\d[\d.]*\d[\d.]*$/);
  await page.mouse.up();
  await expect(page).toHaveURL(/from=.*&to=.*&connection=1,3&latency=p50$/);
  const range = () => {
    const { searchParams } = new URL(page.url());
    const at = (name: string) => Date.parse(searchParams.get(name) ?? '');
    return { from: at('from'), to: at('to') };
  };
  const zoomed = range();
  expect((zoomed.to - zoomed.from) / 1000, 'half of five minutes').toBeGreaterThan(140);
  expect((zoomed.to - zoomed.from) / 1000, 'half of five minutes').toBeLessThan(156);
  await expect(metrics.freshness).toContainText('Fixed range');
  const begins = async (at: number) => {
    const minute = new Date(at).toISOString().slice(0, 16).replace('T', ' ');
    await expect(page.getByRole('textbox', { name: 'From (UTC)' }), 'shown').toHaveValue(minute);
  };
  await begins(zoomed.from);
  await page.getByTestId('earlier').click();
  await expect.poll(() => range().to).toBe(zoomed.from);
  await begins(range().from);
  await page.getByTestId('later').click();
  await expect.poll(range).toEqual(zoomed);
  await begins(zoomed.from);

  await metrics.timeLine.focus();
  for (const key of ['Home', 'Shift+PageUp', 'Shift+PageUp', 'Enter']) await page.keyboard.press(key);
  await expect.poll(() => range().to - range().from, { message: 'a fifth of it' }).toBeLessThan(45_000);
  expect(range().from).toBe(zoomed.from);
  await expect(metrics.timeLine, 'the keyboard goes on there').toBeFocused();
  await page.reload();
  for (const id of ['only-1', 'only-3', 'latency-p50']) await expect(page.getByTestId(id)).toHaveAttribute('aria-current', 'true');

  await metrics.goto('');
  await expect(page.getByTestId('range-5m'), 'as long as history').toHaveAttribute('aria-current', 'true');
  await metrics.waitUntilHydrated();
  await expect(page.getByTestId('link')).toHaveAttribute('data-state', 'live');
  await expect(page.getByTestId('market')).toBeVisible();
  await page.getByTestId('theme').click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
});

test('pointer and keys read all charts at one moment, marks lead to entries and back, the address holds it all', async ({ page, openMonitor }) => {
  const metrics = await withHistory(await openMonitor(), 9);
  await metrics.goto();
  await metrics.waitUntilHydrated();
  await expect(metrics.freshness).toContainText('Live, as of');
  const newest = (await metrics.cursor.textContent()) ?? '';

  await page.keyboard.press('Tab');
  await page.getByRole('link', { name: 'Skip to the charts' }).press('Enter');
  await page.keyboard.press('Tab');
  await expect(page.locator('#charts :focus'), 'past the bar').toBeAttached();

  const plot = metrics.chart('latency').locator('.plot').first();
  await plot.hover({ position: { x: 5, y: 20 } });
  await expect(metrics.cursor, 'the left edge').not.toHaveText(newest);
  await expect(metrics.value('ticks', 1), 'nobody looked then').toContainText('—');
  await expect(metrics.value('state', 1)).toHaveText('No data');
  await page.mouse.move(0, 0);
  await expect(metrics.value('ticks', 1)).toContainText(/[1-9]/);

  await metrics.timeLine.focus();
  await page.keyboard.press('End');
  await page.keyboard.press('ArrowLeft');
  await page.keyboard.press('ArrowLeft');
  await expect(metrics.timeLine).toHaveAttribute('aria-valuetext', /primary connected, [\d.]+ ticks\/s.*tertiary connected/);
  const chosen = (await metrics.cursor.textContent()) ?? '';
  for (let moves = 0; moves < 2; moves += 1) {
    await expect(metrics.freshness).not.toHaveText((await metrics.freshness.textContent()) ?? '');
  }
  await expect(metrics.cursor, 'a moment stays while the charts move on').toHaveText(chosen);
  await page.keyboard.press('Escape');
  await expect(metrics.cursor).not.toHaveText(chosen);

  const mark = page.getByTestId('mark').last();
  const target = (await mark.getAttribute('href')) ?? '';
  await mark.click();
  await expect(page).toHaveURL(new RegExp(`${target}$`));
  const entry = page.locator(target);
  await expect(entry).toBeInViewport();
  await page.keyboard.press('Tab');
  await expect(entry.locator(':focus'), 'the keyboard is there too').toBeAttached();
  await entry.locator('.event-at').click();
  await expect(metrics.timeLine).toBeInViewport();
  const at = (await entry.locator('.event-at').textContent()) ?? '';
  await expect(metrics.cursor).toContainText(at.slice(0, 11));

  await metrics.goto();
  await metrics.waitUntilHydrated();
  await page.getByTestId('only-2').click();
  await expect(page).toHaveURL(/range=5m&connection=2$/);
  await expect(metrics.value('ticks', 1)).toHaveCount(0);
  await page.getByTestId('kind-server').click();
  await expect(page).toHaveURL(/range=5m&connection=2&kind=server$/);
  await expect(page.getByTestId('event')).toHaveCount(1);
  await page.getByTestId('range-90d').click();
  await expect(page).toHaveURL(/range=90d&connection=2&kind=server$/);
  await page.reload();
  await metrics.waitUntilHydrated();
  for (const id of ['range-90d', 'only-2', 'kind-server']) await expect(page.getByTestId(id)).toHaveAttribute('aria-current', 'true');
  await page.goBack();
  await expect(page).toHaveURL(/range=5m&connection=2&kind=server$/);
  await expect(page.getByTestId('range-5m')).toHaveAttribute('aria-current', 'true');
  await page.getByTestId('absolute').click();
  await expect(page).toHaveURL(/from=.*&to=.*&connection=2&kind=server$/);
  await expect(metrics.freshness).toContainText('Fixed range');
});

test('an export holds what the API answers', async ({ page, openMonitor }) => {
  const metrics = await withHistory(await openMonitor(), 9);
  await metrics.goto();
  await metrics.waitUntilHydrated();
  await page.getByText('Export', { exact: true }).click();
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId('csv-samples').click()]);
  expect(download.suggestedFilename()).toBe('tickstock-samples.csv');
  const chunks: Buffer[] = [];
  for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
  const lines = Buffer.concat(chunks).toString().trim().split('\r\n');
  const columns = lines[0]?.split(',') ?? [];
  const rows = lines.slice(1).map((line) => Object.fromEntries(line.split(',').map((cell, place) => [columns[place], cell])));
  const response = await page.request.get(`${metrics.server.url}/api/admin/history/samples?from=-300s&limit=10000`);
  const { samples } = (await response.json()) as { samples: Record<string, unknown>[] };
  expect(rows.length).toBeGreaterThan(10);
  // What is still growing differs: the last seconds.
  const over = samples.slice(0, rows.length - 6);
  for (const [place, sample] of over.entries()) {
    for (const [name, value] of Object.entries(sample)) {
      const cell = rows[place]?.[name];
      // A whole number may be written with a point.
      if (typeof value === 'number') expect(Number(cell), name).toBe(value);
      else expect(cell, name).toBe(value === null ? '' : value);
    }
  }
});

test('without JavaScript everything reads, and a gap can be acknowledged', async ({ browser, openMonitor }) => {
  const metrics = await withHistory(await openMonitor());
  await metrics.server.control({ fault: 'drop', connection: 2 });
  await expect.poll(async () => (await metrics.gaps(2))[0]?.ended_at, { timeout: 30_000 }).toBeTruthy();
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await new MonitorPage(page, metrics.server).signIn();
  const plain = new MetricsPage(page, metrics.server);
  await plain.goto();
  await page.getByTestId('table-ticks').locator('summary').click();
  await expect(page.getByTestId('table-ticks').locator('tbody td').filter({ hasText: /[1-9]/ }).first()).toBeVisible();
  await plain.gap('2-1').getByRole('textbox').fill('nothing to fill');
  await plain.gap('2-1').getByRole('button', { name: 'Acknowledge' }).click();
  await expect(page).toHaveURL(/\/admin\/metrics$/);
  await expect(plain.gap('2-1')).toContainText('nothing to fill');
  await page.getByTestId('range-1h').click();
  await expect(page.getByTestId('range-1h')).toHaveAttribute('aria-current', 'true');
  await context.close();
});

test('a server that is gone is told, and its crash is a band when it is back', async ({ page, complaints, openMonitor }) => {
  const metrics = await withHistory(await openMonitor());
  await metrics.goto();
  await metrics.waitUntilHydrated();
  await complaints.during(NETWORK_LOST, async () => {
    await metrics.server.kill();
    await expect(page.getByTestId('not-live')).toContainText(/is not responding.*as of \d\d:\d\d:\d\d UTC/, { timeout: 15_000 });
    await expect(metrics.freshness).toHaveText(/^As of \d\d:\d\d:\d\d UTC$/);
    await expect(page.getByTestId('link')).toHaveAttribute('data-state', 'lost');
    await expectAccessible(page, 'full metrics, server gone');
    await metrics.server.startAgain();
    await expect(metrics.freshness).toContainText('Live, as of', { timeout: 20_000 });
  });
  await expect(page.getByTestId('not-live')).toHaveCount(0);
  for (const id of [1, 2, 3]) await expect(metrics.gap(`${id}-1`)).toContainText('monitor not running', { timeout: 20_000 });
});

test('a page whose session has ended says so and asks no more', async ({ page, complaints, openMonitor }) => {
  const metrics = await withHistory(await openMonitor());
  await metrics.goto();
  await metrics.waitUntilHydrated();
  await complaints.during(answered(401), async () => {
    await page.context().clearCookies();
    await expect(page.getByTestId('not-live')).toContainText('Signed out.', { timeout: 10_000 });
    const asked = page.waitForRequest(/\/api\/admin\//, { timeout: 5_000 }).then(() => true, () => false);
    expect(await asked, 'a session that has ended does not come back by asking').toBe(false);
  });
});
