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

test('a pointer that stays pressed holds nothing up', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  await page.getByTestId('column-1').hover();
  await page.mouse.down();
  expect((await monitor.watchPrices(2_000)).length, 'prices drawn while it is').toBeGreaterThan(5);
  await page.mouse.up();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id);
});

test('paused, the view stands still and counts; resumed, it shows the present', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  const behind = async () => Number((await monitor.behind.textContent())?.replaceAll(/\D/g, ''));

  await monitor.pause.click();
  await expect(monitor.pause).toHaveAttribute('data-paused', 'true');
  await expect(monitor.behind).toBeVisible();
  const frozen = await monitor.prices(1);
  await expect.poll(behind, { message: 'ticks are counted' }).toBeGreaterThan(100);
  const early = await behind();
  await expect.poll(behind, { message: 'and go on being counted' }).toBeGreaterThan(early);
  expect(await monitor.prices(1)).toEqual(frozen);
  expect(await monitor.watchPrices(500)).toEqual([]);

  await monitor.pause.click();
  await expect(monitor.pause).toHaveAttribute('data-paused', 'false');
  await expect(monitor.behind).toBeHidden();
  expect(await monitor.prices(1), 'the present, not the moment of the pause').not.toEqual(frozen);
  for (const id of [1, 2, 3]) await monitor.expectTicking(id);

  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  await page.keyboard.press('Space');
  await expect(monitor.pause).toHaveAttribute('data-paused', 'true');
  await page.keyboard.press('Space');
  await expect(monitor.pause).toHaveAttribute('data-paused', 'false');
  await monitor.expectTicking(1);

  await page.goto(`${monitor.server.url}/admin/websockets?paused=1`);
  await expect(monitor.banner).toContainText('The link you opened pauses this page.');
  await monitor.banner.getByRole('button', { name: 'Resume' }).click();
  await expect(monitor.pause).toHaveAttribute('data-paused', 'false');
  await expect(page.getByText('The link you opened pauses this page.')).toHaveCount(0);
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

test('the rate of the last minutes is a line that grows by the second', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  await monitor.expectTicking(1, 15_000);
  const corners = async () => {
    const points = (await monitor.column(1).locator('.sparkline-line').getAttribute('points')) ?? '';
    return points.trim().split(' ').map((corner) => corner.split(',').map(Number));
  };
  const before = (await corners()).length;
  await expect.poll(async () => (await corners()).length).toBeGreaterThanOrEqual(before + 3);
  const xs = (await corners()).map(([x]) => x);
  expect(xs.at(-1), 'the present is at the right').toBe(300);
  expect(xs).toEqual([...xs].sort((a, b) => (a ?? 0) - (b ?? 0)));
  const heights = (await corners()).map(([, y]) => y ?? NaN);
  expect(Math.min(...heights), 'the highest rate is at the top').toBe(2);
  expect(Number(await page.getByTestId('rate-1').textContent())).toBeGreaterThan(0);
});

test('a change of state is announced, and the summary leads to who needs somebody', async ({ page, openMonitor }) => {
  await page.setViewportSize({ width: 390, height: 800 });
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);
  await expect(monitor.announcer).toHaveAttribute('aria-live', 'polite');
  const told = await monitor.recordAnnouncements();
  await monitor.server.control({ fault: 'refuse_key', connection: 3 });
  await monitor.server.control({ fault: 'drop', connection: 3 });
  await expect(monitor.state(3)).toHaveText('failed', { timeout: 15_000 });
  await expect.poll(async () => (await told()).join('\n'), { timeout: 15_000 }).toMatch(/Connection 3, tertiary: failed, .*authentication failed/);
  expect((await told()).join('\n'), 'the others said nothing').not.toMatch(/Connection [12]/);

  const trouble = monitor.summary.getByRole('link', { name: 'connection 3 failed' });
  await expect(monitor.state(3)).not.toBeInViewport();
  await trouble.click();
  await expect(monitor.state(3)).toBeInViewport();
  await expect(monitor.column(3), 'and takes the keyboard there').toBeFocused();
  await monitor.server.control({ fault: 'clear' });
  await page.getByTestId('refresh').click();
  await expect(trouble).toBeHidden({ timeout: 15_000 });
});

test('the first stop of the keyboard leads past the bar, and the help closes by its button', async ({ page, openMonitor }) => {
  const { link } = await openMonitor();
  const skip = page.getByRole('link', { name: 'Skip to the connections' });
  await expect(skip).not.toBeInViewport();
  await page.keyboard.press('Tab');
  await expect(skip).toBeFocused();
  await expect(skip).toBeInViewport();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('main')).toBeFocused();

  await page.getByTestId('help').click();
  const help = page.getByRole('dialog', { name: 'Keyboard shortcuts and legend' });
  await expect(help).toBeVisible();
  await help.getByRole('button', { name: 'Close' }).click();
  await expect(help).toBeHidden();
  await expect(page.getByTestId('help'), 'the keyboard goes on where it was').toBeFocused();

  for (const close of [() => page.keyboard.press('Escape'), () => page.getByTestId('state-3').click()]) {
    await link.locator('summary').click();
    await expect(page.getByTestId('extra-delay')).toBeVisible();
    await page.getByTestId('extra-delay').click();
    await expect(page.getByTestId('extra-delay'), 'its figures may be selected').toBeVisible();
    await close();
    await expect(page.getByTestId('extra-delay')).toBeHidden();
  }
});
