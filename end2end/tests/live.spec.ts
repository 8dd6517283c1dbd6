import { expect, test } from '../fixtures/test';

const FLAT = 'unchanged';

test('all three columns tick, and every arrow points where its price went', async ({ openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await expect(monitor.state(id)).toHaveText('connected', { timeout: 15_000 });
  for (const id of [1, 2, 3]) await monitor.expectTicking(id);

  const changes = await monitor.watchPrices(4_000);
  for (const id of [1, 2, 3]) {
    expect(changes.filter(({ column }) => column === id).length, `changes in column ${id}`).toBeGreaterThan(5);
  }
  const wrong = changes.filter(({ from, to, arrow }) => arrow !== (to > from ? 'up' : 'down'));
  expect(wrong).toEqual([]);
  expect(new Set(changes.map(({ arrow }) => arrow)), 'prices went both ways').toEqual(new Set(['up', 'down']));
  expect(changes.map(({ arrow }) => arrow)).not.toContain(FLAT);

  await expect(monitor.summary).toContainText('3 of 3');
  for (const id of [1, 2, 3]) {
    await expect(monitor.page.getByTestId(`rate-${id}`)).toHaveText(/[1-9]/);
    await expect(monitor.page.getByTestId(`uptime-${id}`)).toHaveText(/\d+ (s|m)/);
    await expect(monitor.page.getByTestId(`errors-${id}`)).toHaveText('0');
  }
});

test('what is shown is what the status says', async ({ openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await expect(monitor.state(id)).toHaveText('connected', { timeout: 15_000 });

  const status = await monitor.status();
  expect(status).toMatchObject({ feed: 'simulator', summary: { total: 3, enabled: 3, connected: 3 } });
  for (const connection of status.connections) {
    const shown = Object.keys(await monitor.prices(connection.id));
    expect(shown.length).toBeGreaterThan(5);
    expect(connection.config.symbols).toEqual(expect.arrayContaining(shown));
    await expect(monitor.config(connection.id)).toContainText(`${connection.config.ticker_count} tickers`);
  }
});

test('paused, the view stands still and counts; resumed, it shows the present', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  const behind = async () => Number((await monitor.behind.textContent())?.replaceAll(/\D/g, ''));

  await monitor.pause.click();
  await expect(monitor.pause).toHaveAttribute('aria-pressed', 'true');
  await expect(monitor.behind).toBeVisible();
  const frozen = await monitor.prices(1);
  await expect.poll(behind, { message: 'ticks are counted' }).toBeGreaterThan(100);
  const early = await behind();
  await expect.poll(behind, { message: 'and go on being counted' }).toBeGreaterThan(early);
  expect(await monitor.prices(1)).toEqual(frozen);
  expect(await monitor.watchPrices(500)).toEqual([]);

  await monitor.pause.click();
  await expect(monitor.pause).toHaveAttribute('aria-pressed', 'false');
  await expect(monitor.behind).toBeHidden();
  expect(await monitor.prices(1), 'the present, not the moment of the pause').not.toEqual(frozen);
  for (const id of [1, 2, 3]) await monitor.expectTicking(id);

  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  await page.keyboard.press('Space');
  await expect(monitor.pause).toHaveAttribute('aria-pressed', 'true');
  await page.keyboard.press('Space');
  await expect(monitor.pause).toHaveAttribute('aria-pressed', 'false');
  await monitor.expectTicking(1);
});

test('a long list scrolls to its end with few rows in the document', async ({ openMonitor }) => {
  const monitor = await openMonitor();
  const status = await monitor.status();
  for (const { id, config } of status.connections) {
    expect(config.ticker_count).toBeGreaterThan(90);
    const first = config.symbols[0] ?? '';
    const last = config.symbols.at(-1) ?? '';
    const table = monitor.table(id);

    await expect(monitor.column(id).getByTestId(`row-${first}`)).toBeInViewport();
    expect(await monitor.rows(id).count()).toBeLessThan(60);
    await table.evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await expect(monitor.column(id).getByTestId(`row-${last}`)).toBeInViewport();
    expect(await monitor.rows(id).count()).toBeLessThan(60);
    await monitor.expectTicking(id);
    await table.evaluate((element) => element.scrollTo(0, 0));
    await expect(monitor.column(id).getByTestId(`row-${first}`)).toBeInViewport();
  }
});
