import { expect, test } from '../fixtures/test';
import { MonitorPage } from '../fixtures/monitor_page';

const numbers = (texts: string[]) => texts.map((text) => Number(text.replaceAll(/[^\d.-]/g, '')));

test('a table is filtered, sorted and pinned, and its address shows a colleague the same', async ({ page, context, openMonitor }) => {
  const monitor = await openMonitor();
  for (const id of [1, 2, 3]) await monitor.expectTicking(id, 15_000);

  await test.step('filter', async () => {
    await monitor.filter(1).fill('aa');
    await expect.poll(() => monitor.symbols(1)).toEqual(['AAPL']);
    await expect(page.getByTestId('count-1')).toHaveText(/^1 of \d+$/);
    await monitor.filter(1).fill('nvda msft');
    await expect.poll(() => monitor.symbols(1)).toEqual(['MSFT', 'NVDA']);
    await monitor.filter(1).fill('zzz');
    await expect(page.getByTestId('empty-1')).toContainText('No symbol matches the filter');
    await monitor.filter(1).press('Escape');
    await expect(monitor.filter(1)).toHaveValue('');
    await expect.poll(async () => (await monitor.symbols(1)).length).toBeGreaterThan(10);
    expect((await monitor.symbols(2)).length, 'the others are as they were').toBeGreaterThan(10);
  });

  await test.step('sort', async () => {
    const shown = async () => numbers(Object.values(await monitor.prices(2)));
    await monitor.sortBy(2, 'price').click();
    await expect(monitor.table(2).getByRole('columnheader', { name: 'Price' })).toHaveAttribute('aria-sort', 'descending');
    // Prices move on while the order stands, so what is compared may be off by a little.
    await expect(async () => {
      const prices = await shown();
      expect(prices.length).toBeGreaterThan(10);
      for (const [place, price] of prices.slice(1).entries()) expect(price).toBeLessThanOrEqual((prices[place] ?? 0) * 1.02);
    }).toPass();
    await monitor.sortBy(2, 'price').click();
    await expect(monitor.table(2).getByRole('columnheader', { name: 'Price' })).toHaveAttribute('aria-sort', 'ascending');
    await monitor.sortBy(2, 'rate').click();
    await expect(page).toHaveURL(/sort2=-rate/);
  });

  await test.step('hold', async () => {
    await monitor.table(2).hover();
    await expect(monitor.column(2).getByText('sorting paused')).toBeVisible();
    const before = await monitor.symbols(2);
    await monitor.beats(3);
    await monitor.table(2).hover({ position: { x: 30, y: 90 } });
    expect(await monitor.symbols(2), 'nothing moves under the pointer').toEqual(before);
    await page.mouse.move(5, 5);
    await expect(monitor.column(2).getByText('sorting paused')).toBeHidden();
  });

  await test.step('pin', async () => {
    await monitor.filter(1).fill('msft');
    await monitor.row('MSFT').hover();
    await monitor.row('MSFT').getByRole('button', { name: 'Pin MSFT' }).click();
    await monitor.filter(1).fill('');
    await expect.poll(async () => (await monitor.symbols(1)).slice(0, 2)).toEqual(['MSFT', 'AAPL']);
    await expect(monitor.row('MSFT').getByRole('button', { name: 'Pin MSFT' })).toHaveAttribute('aria-pressed', 'true');

    const pin = (symbol: string) => monitor.row(symbol).getByRole('button', { name: `Pin ${symbol}` });
    for (const pressed of ['true', 'false']) {
      await monitor.row('ADBE').hover();
      await pin('ADBE').click();
      await expect(pin('ADBE')).toHaveAttribute('aria-pressed', pressed);
      const second = pressed === 'true' ? 'ADBE' : 'AAPL';
      await expect.poll(async () => (await monitor.symbols(1)).slice(0, 2), `pinned: ${pressed}`).toEqual(['MSFT', second]);
      expect(new URL(page.url()).searchParams.get('pin1')).toBe(pressed === 'true' ? 'MSFT,ADBE' : 'MSFT');
    }
  });

  await test.step('the same for a colleague', async () => {
    await monitor.filter(3).fill('a');
    await page.getByTestId('tape-view-3').click();
    await monitor.pause.click();
    const address = page.url();
    expect(new URL(address).searchParams.get('pin1')).toBe('MSFT');
    const colleague = new MonitorPage(await context.newPage(), monitor.server);
    await colleague.page.goto(address);
    await colleague.waitUntilHydrated();
    await colleague.expectLive();
    await expect(colleague.pause).toHaveAttribute('data-paused', 'true');
    expect((await colleague.symbols(1))[0]).toBe('MSFT');
    await expect(colleague.table(2).getByRole('columnheader', { name: 'Rate' })).toHaveAttribute('aria-sort', 'descending');
    await expect(colleague.tape(3)).toBeVisible();
    await colleague.page.getByTestId('table-view-3').click();
    await expect(colleague.filter(3)).toHaveValue('a');
    expect(colleague.page.url(), 'and the address follows').not.toContain('view3');
    await expect(colleague.banner, 'whoever did not press Pause is told').toContainText(/pauses this page.*as of \d\d:\d\d:\d\d UTC/);
    await colleague.page.getByTestId('resume').click();
    await expect(colleague.pause).toHaveAttribute('data-paused', 'false');
    await expect(colleague.banner).toBeHidden();
    await colleague.page.close();
  });
});

test('everything is done from the keyboard, where no field is in the way', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  await monitor.expectTicking(2, 15_000);

  await page.keyboard.press('2');
  await expect(monitor.column(2)).toBeFocused();
  await page.keyboard.press('f');
  await expect(monitor.filter(2)).toBeFocused();
  await page.keyboard.type('t 2?');
  await expect(monitor.filter(2), 'in a field keys are text').toHaveValue('t 2?');
  await expect(monitor.pause).toHaveAttribute('data-paused', 'false');
  await page.keyboard.press('Escape');
  await expect(monitor.filter(2)).toHaveValue('');
  await page.keyboard.press('Escape');
  await expect(monitor.column(2), 'out of the empty field').toBeFocused();

  await monitor.table(2).focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('End');
  const last = (await monitor.status()).connections[1]?.config.symbols.at(-1) ?? '';
  await expect(monitor.row(last)).toBeInViewport();
  await expect(monitor.row(last)).toHaveAttribute('aria-selected', 'true');
  expect(await monitor.table(2).getAttribute('aria-activedescendant')).toBe(await monitor.row(last).getAttribute('id'));
  await page.keyboard.press('p');
  await expect(monitor.row(last), 'pinned on top').toHaveAttribute('aria-rowindex', '2');
  await expect(monitor.row(last), 'and the keyboard is still at it').toHaveAttribute('aria-selected', 'true');
  await expect(monitor.row(last)).toBeInViewport();
  await page.keyboard.press('p');
  const count = (await monitor.status()).connections[1]?.config.symbols.length ?? 0;
  await expect(monitor.row(last), 'let go, it is at the end again').toHaveAttribute('aria-rowindex', String(count + 1));
  await expect(monitor.row(last)).toHaveAttribute('aria-selected', 'true');
  await page.keyboard.press('Home');
  const current = async () => Number(await monitor.column(2).locator('[aria-selected=true]').getAttribute('aria-rowindex'));
  await expect.poll(current).toBe(2);
  await page.keyboard.press('PageDown');
  const below = await current();
  expect(below, 'a page down').toBeGreaterThan(5);
  await page.keyboard.press('PageDown');
  await expect.poll(current).toBe(2 * below - 2);
  await page.keyboard.press('PageUp');
  await page.keyboard.press('PageUp');
  await expect.poll(current).toBe(2);
  await page.keyboard.press('Escape');
  await expect(monitor.column(2).locator('[aria-selected=true]')).toHaveCount(0);
  await page.keyboard.press('Space');
  await expect(monitor.pause).toHaveAttribute('data-paused', 'true');
  await page.keyboard.press('Space');

  await page.keyboard.press('t');
  await expect(monitor.tape(2)).toBeVisible();
  await page.getByTestId('fold-data-2').click();
  await expect(monitor.tape(2)).toBeHidden();
  await page.keyboard.press('f');
  await expect(monitor.filter(2), 'it comes back to be filtered').toBeFocused();
  await expect(monitor.tape(2)).toBeVisible();
  await page.getByTestId('table-view-2').click();
  await expect(page.getByTestId('table-view-2')).toHaveAttribute('aria-pressed', 'true');
  await monitor.table(2).focus();
  await page.keyboard.press('3');
  await page.keyboard.press('?');
  const help = page.getByRole('dialog', { name: 'Keyboard shortcuts and legend' });
  await expect(help).toBeVisible();
  await help.getByTestId('keys-on').uncheck();
  await page.keyboard.press('Escape');
  await expect(help).toBeHidden();
  await page.keyboard.press('1');
  await expect(monitor.column(1), 'switched off').not.toBeFocused();
  await page.reload();
  await monitor.waitUntilHydrated();
  await page.keyboard.press('?');
  await expect(help, 'and the browser keeps that').toBeHidden();
});

test('parts of a column fold, and the browser keeps the choice', async ({ page, openMonitor }) => {
  const monitor = await openMonitor();
  const fold = (part: string) => page.getByTestId(`fold-${part}-1`);
  await expect(monitor.config(1).getByText('Universe key', { exact: true })).toBeHidden();
  await fold('configuration').click();
  await expect(monitor.config(1).getByText('Universe key', { exact: true })).toBeVisible();
  await page.getByTestId('search-1').fill('nvd');
  await expect(page.getByTestId('symbols-1')).toHaveText('NVDA');
  await fold('health').click();
  await fold('metrics').click();
  await fold('data').click();
  await expect(monitor.table(1)).toBeHidden();

  await page.reload();
  await monitor.waitUntilHydrated();
  await expect(monitor.config(1).getByText('Universe key', { exact: true })).toBeVisible();
  for (const part of ['health', 'metrics', 'data']) await expect(fold(part)).toHaveAttribute('aria-expanded', 'false');
  await expect(page.getByTestId('rate-1'), 'the rate is in the head').toBeVisible();
  await expect(monitor.table(2), 'and only where it was made').toBeVisible();
  await fold('data').click();
  await monitor.expectTicking(1, 15_000);
});

test('the theme goes from system to light to dark and back, and the browser keeps it', async ({ page, startServer }) => {
  const monitor = new MonitorPage(page, await startServer());
  await monitor.signIn();
  await monitor.waitUntilHydrated();
  const button = page.getByTestId('theme');
  const expectTheme = async (name: string, shown: 'light' | 'dark') => {
    await expect(button).toHaveAccessibleName(new RegExp(`^Theme: ${name}\\b`));
    await expect(page.locator('html')).toHaveCSS('color-scheme', shown);
  };
  await page.emulateMedia({ colorScheme: 'dark' });
  await expectTheme('system', 'dark');
  await button.click();
  await expectTheme('light', 'light');
  await button.click();
  await page.emulateMedia({ colorScheme: 'light' });
  await expectTheme('dark', 'dark');

  await page.reload();
  await expect(page.locator('html'), 'before anything runs').toHaveCSS('color-scheme', 'dark');
  await monitor.waitUntilHydrated();
  await expectTheme('dark', 'dark');
  await button.click();
  await expectTheme('system', 'light');
});

test('a symbol is found on any connection and opens its panel, whose address can be shared', async ({ page, context, openMonitor }) => {
  const monitor = await openMonitor();
  await monitor.expectTicking(2, 15_000);
  await page.keyboard.press('/');
  await expect(monitor.search).toBeFocused();
  await page.keyboard.type('axp');
  await expect(monitor.matches.getByRole('button').first()).toHaveText(/^AXP\s*2 secondary$/);
  await page.keyboard.press('ArrowDown');
  await expect(monitor.matches.getByRole('button').first()).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(monitor.search).toBeFocused();
  await page.keyboard.press('Enter');
  await expect(monitor.panel.getByRole('heading', { name: 'AXP' })).toBeVisible();
  await expect(monitor.panel).toBeFocused();
  await expect(page).toHaveURL(/\?symbol=AXP$/);
  await expect(page.getByTestId('symbol-event'), 'as the provider sent it').toHaveText(/^\{"ev":"\w+","sym":"AXP",.*\}$/);
  await expect(page.getByTestId('symbol-past')).toContainText(/Gaps between ticks: longest [\d.]+ s, now silent for/);
  await expect(page.getByTestId('symbol-facts')).toContainText(/Received.*UTC, (now|\d+ s ago)/);
  await expect(page.getByTestId('symbol-as-of')).toHaveText(/^As of \d\d:\d\d:\d\d UTC$/);

  const colleague = new MonitorPage(await context.newPage(), monitor.server);
  await colleague.page.goto(page.url());
  await expect(colleague.panel.getByRole('heading', { name: 'AXP' })).toBeVisible();
  await expect(colleague.page.getByTestId('symbol-event')).toHaveText(/"sym":"AXP"/);
  await colleague.page.close();

  // Questions that are never answered.
  await page.route('**/api/admin/fn/symbol*', () => {});
  await expect(page.getByTestId('symbol-as-of')).toHaveText(/UTC\. The monitor is not responding\.$/, { timeout: 6_000 });
  await page.unrouteAll();

  await monitor.panel.getByRole('button', { name: 'Show in table' }).click();
  await expect(monitor.row('AXP')).toHaveAttribute('aria-selected', 'true');
  await expect(monitor.row('AXP')).toBeInViewport();
  await monitor.panel.getByRole('button', { name: 'Close' }).click();
  await expect(monitor.panel).toBeHidden();
  await expect(page).not.toHaveURL(/symbol/);
  await monitor.row('AAPL').getByText('AAPL').click();
  await expect(monitor.panel.getByRole('heading', { name: 'AAPL' })).toBeVisible();
  await page.keyboard.press('Escape');
  await monitor.search.fill('no such symbol');
  await expect(monitor.matches).toHaveText('No connection has such a symbol.');
});

test('selected rows stay selected while ticks come in, and are copied as cells', async ({ page, context, openMonitor }) => {
  const monitor = await openMonitor();
  await monitor.expectTicking(1, 15_000);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const selection = () => page.evaluate(() => getSelection()?.toString() ?? '');
  const boxes = await Promise.all(['AAPL', 'ADBE'].map((symbol) => monitor.row(symbol).boundingBox()));
  await page.mouse.move((boxes[0]?.x ?? 0) + 30, (boxes[0]?.y ?? 0) + 13);
  await page.mouse.down();
  await page.mouse.move((boxes[1]?.x ?? 0) + (boxes[1]?.width ?? 0) - 20, (boxes[1]?.y ?? 0) + 13, { steps: 5 });
  await page.mouse.up();
  await expect(monitor.column(1).getByText('paused: text selected')).toBeVisible();
  await expect(monitor.panel, 'the end of a selection is no click').toBeHidden();
  const before = await selection();
  // The others go on.
  await monitor.expectTicking(2, 15_000);
  await monitor.beats(2);
  expect(await selection()).toBe(before);

  await page.keyboard.press('ControlOrMeta+c');
  const lines = (await page.evaluate(() => navigator.clipboard.readText())).split('\n').map((line) => line.split('\t'));
  expect(lines.length).toBeGreaterThanOrEqual(2);
  for (const cells of lines) {
    expect(cells[0]).toMatch(/^[A-Z.]+$/);
    expect(cells[1]).toMatch(/^([\d,]+\.\d+|—)$/);
    expect(cells.join(' '), 'no word that is not seen').not.toMatch(/up|down|unchanged|Pin/);
  }
  await page.mouse.click(5, 300);
  await expect(monitor.column(1).getByText('paused: text selected')).toBeHidden();
  await monitor.expectTicking(1);
});

test('a count of what does not tick shows the rows that it counts', async ({ page, openMonitor }) => {
  const monitor = await openMonitor({
    USE_MULTI_CONNECTION: 'true',
    WEBSOCKET_CONNECTION_1_ENABLED: 'true',
    WEBSOCKET_CONNECTION_1_SYMBOLS: 'AAPL,MSFT,NVDA',
  });
  await monitor.expectTicking(1, 15_000);
  await monitor.filter(1).fill('is:never');
  await expect(page.getByTestId('empty-1')).toContainText('No symbol matches');
  await expect(page.getByTestId('count-1')).toHaveText('0 of 3');
  await monitor.filter(1).fill('is:stale');
  await expect(page.getByTestId('count-1')).toHaveText('0 of 3');
  await expect(page.getByRole('button', { name: 'stale tickers' }), 'nothing to show').toBeDisabled();
});
