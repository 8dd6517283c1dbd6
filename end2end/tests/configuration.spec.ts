import { expectAccessible } from '../fixtures/axe';
import { NETWORK_LOST, answered } from '../fixtures/errors';
import { expect, test } from '../fixtures/test';

test('without multi-connection only the first connection runs', async ({ openMonitor }) => {
  const monitor = await openMonitor({
    USE_MULTI_CONNECTION: 'false',
    SYMBOL_UNIVERSE_KEY: 'dow30',
    WEBSOCKET_CONNECTION_2_ENABLED: 'true',
  });
  await expect(monitor.state(1)).toHaveText('connected', { timeout: 15_000 });
  await monitor.expectTicking(1);
  await expect(monitor.config(1)).toContainText('dow30');
  await expect(monitor.config(1)).toContainText('30 tickers');
  for (const id of [2, 3]) {
    await expect(monitor.state(id)).toHaveText('disabled');
    await expect(monitor.column(id)).toContainText(`WEBSOCKET_CONNECTION_${id}_ENABLED=true`);
    await expect(monitor.rows(id)).toHaveCount(0);
  }
  await expect(monitor.summary).toContainText('1 of 1');
});

test('a bad setting and an unknown universe are said, and stop nothing else', async ({ openMonitor }) => {
  const monitor = await openMonitor({
    USE_MULTI_CONNECTION: 'true',
    WEBSOCKET_CONNECTION_1_ENABLED: 'true',
    WEBSOCKET_CONNECTION_1_SYMBOLS: 'AAPL,MSFT',
    WEBSOCKET_CONNECTION_2_ENABLED: 'perhaps',
    WEBSOCKET_CONNECTION_2_SYMBOLS: 'JPM',
    WEBSOCKET_CONNECTION_3_ENABLED: 'true',
    WEBSOCKET_CONNECTION_3_UNIVERSE_KEY: 'no_such:universe',
    WEBSOCKET_CONNECTION_3_SYMBOLS: 'PFE,AAPL',
  });
  await expect(monitor.state(1)).toHaveText('connected', { timeout: 15_000 });
  await monitor.expectTicking(1);
  await expect(monitor.rows(1)).toHaveCount(2);

  await expect(monitor.state(2)).toHaveText('disabled');
  await expect(monitor.config(2)).toContainText('WEBSOCKET_CONNECTION_2_ENABLED');
  await expect(monitor.config(2)).toContainText('perhaps');

  await monitor.expectTicking(3);
  await expect(monitor.config(3)).toContainText('no_such:universe');
  await expect(monitor.rows(3), 'the higher tier carries AAPL').toHaveCount(1);
  await expect(monitor.config(3), 'and column 3 says so').toContainText('1 duplicate routed to connection 1 (higher priority)');
});

test('a refresh takes over what changed while the rest runs on, and says what it refused', async ({ page, openMonitor }) => {
  const monitor = await openMonitor({
    USE_MULTI_CONNECTION: 'true',
    WEBSOCKET_CONNECTION_1_ENABLED: 'true',
    WEBSOCKET_CONNECTION_1_SYMBOLS: 'AAPL,MSFT',
  });
  await monitor.expectTicking(1, 15_000);
  await expect(monitor.state(2)).toHaveText('disabled');
  const states = await monitor.recordStates(1);

  monitor.server.writeEnv({
    WEBSOCKET_CONNECTION_2_ENABLED: 'true',
    WEBSOCKET_CONNECTION_2_SYMBOLS: 'JPM,BAC,WFC',
    WEBSOCKET_CONNECTION_3_PRIORITY: 'urgent',
  });
  await page.getByTestId('refresh').click();
  const result = page.getByTestId('refresh-result');
  await expect(result).toContainText('Connection 2');
  await expect(result).toContainText('Unchanged: connection 1');
  await expect(result).toContainText('WEBSOCKET_CONNECTION_3_PRIORITY=urgent');
  await monitor.expectTicking(2, 20_000);
  expect(await monitor.symbols(2)).toEqual(['BAC', 'JPM', 'WFC']);
  expect(await states(), 'connection 1 was not touched').toEqual(['connected']);
  await result.getByTestId('refresh-close').click();
  await expect(result).toHaveText('');
  await expect(page.getByRole('main'), 'the keyboard goes on at the top of the page').toBeFocused();
  await page.keyboard.press('Space');
  await expect(monitor.pause, 'Space does what it always does').toHaveAttribute('data-paused', 'true');
  await expect(result, 'and refreshes nothing').toHaveText('');
});

test('a refresh that changes nothing, one for the next start, and one that is not answered', async ({ page, complaints, openMonitor }) => {
  const monitor = await openMonitor();
  await monitor.expectTicking(1, 15_000);
  const refresh = page.getByTestId('refresh');
  const result = page.getByTestId('refresh-result');

  await refresh.click();
  await expect(result).toContainText('Nothing changed.');
  monitor.server.writeEnv({ METRICS_INTERVAL_MS: '500' });
  await refresh.click();
  await expect(result).toContainText('Takes effect after a restart: METRICS_INTERVAL_MS');
  await expect(result).toHaveAttribute('data-tone', 'info');

  complaints.expect(NETWORK_LOST);
  await page.route('**/config/refresh', async (route) => route.abort('connectionreset'));
  await refresh.click();
  await expect(result).toContainText('The monitor is not responding.');
  await expect(result).toHaveAttribute('data-tone', 'bad');
  await page.unroute('**/config/refresh');

  await monitor.server.kill();
  await expect(monitor.link).toHaveAttribute('data-state', 'lost', { timeout: 7_000 });
  await expect(refresh, 'there is nobody to ask').toBeDisabled();
  await monitor.server.startAgain();
  await monitor.expectLive(20_000);
  await refresh.click();
  await expect(result, 'the next start was it').toContainText('Nothing changed');
});

test('a column tells where its symbols come from, who carries what is listed twice, and by which rule', async ({ page, openMonitor }) => {
  const monitor = await openMonitor({
    USE_MULTI_CONNECTION: 'true',
    WEBSOCKET_CONNECTION_1_ENABLED: 'true',
    WEBSOCKET_CONNECTION_1_SYMBOLS: 'JPM,AAPL,MSFT',
    WEBSOCKET_CONNECTION_1_PRIORITY: 'low',
    WEBSOCKET_CONNECTION_2_ENABLED: 'true',
    WEBSOCKET_CONNECTION_2_NAME: 'blue chips',
    WEBSOCKET_CONNECTION_2_UNIVERSE_KEY: 'dow30',
    WEBSOCKET_CONNECTION_2_PRIORITY: 'high',
    WEBSOCKET_CONNECTION_2_CHANNELS: 'A,Q',
    WEBSOCKET_CONNECTION_3_ENABLED: 'true',
    WEBSOCKET_CONNECTION_3_SYMBOLS: 'AMD,NFLX',
  });
  for (const id of [2, 3]) await monitor.expectTicking(id, 15_000);
  await expect(monitor.column(2).getByRole('heading', { name: 'Connection 2: blue chips' })).toBeVisible();
  for (const id of [1, 2, 3]) await page.getByTestId(`fold-configuration-${id}`).click();
  const entry = (id: number, term: string) => monitor.config(id).locator('.config-list > div', { has: page.getByText(term, { exact: true }) }).locator('dd');

  await expect(entry(1, 'Universe key')).toHaveText('not set');
  await expect(entry(1, 'Symbol source')).toHaveText('symbol list');
  await expect(entry(1, 'Priority')).toHaveText(/low/);
  await expect(entry(1, 'Routing')).toContainText('is routed to the one with the highest priority');
  await expect(entry(1, 'Duplicates')).toHaveText(/^3 routed to other connections: (AAPL|JPM|MSFT) to 2, (AAPL|JPM|MSFT) to 2, (AAPL|JPM|MSFT) to 2$/);
  await expect(monitor.rows(1), 'nothing is left to carry').toHaveCount(0);

  await expect(entry(2, 'Universe key')).toHaveText('dow30');
  await expect(entry(2, 'Symbol source')).toHaveText('universe key');
  await expect(entry(2, 'Priority')).toHaveText(/high/);
  await expect(entry(2, 'Channels')).toHaveText('second bars (A), quotes (Q)');
  await expect(monitor.config(2).getByText('Duplicates', { exact: true })).toBeHidden();
  await expect(entry(3, 'Priority'), 'by default').toHaveText(/low/);

  // Red, green and blue of the bar on top: 1 is blue, 2 green, 3 orange.
  const bar = async (id: number) => {
    const colour = await monitor.column(id).evaluate((column) => getComputedStyle(column).borderTopColor);
    return (/(\d+), (\d+), (\d+)/.exec(colour) ?? []).slice(1).map(Number);
  };
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    const [blue, green, orange] = [await bar(1), await bar(2), await bar(3)];
    expect(Math.max(...blue), `${scheme}: 1 is blue`).toBe(blue[2]);
    expect(Math.max(...green), `${scheme}: 2 is green`).toBe(green[1]);
    expect([...orange].sort((a, b) => b - a), `${scheme}: 3 is orange`).toEqual(orange);
  }
});

test('switched off, page, API and socket are gone', async ({ page, request, complaints, startServer }) => {
  const server = await startServer({ ADMIN_WEBSOCKET_DASHBOARD_ENABLED: 'false' });
  for (const path of ['/admin/websockets', '/api/admin/websocket-status']) {
    expect((await request.get(server.url + path, { maxRedirects: 0 })).status(), path).toBe(404);
  }
  expect(await server.handshakeStatus()).toBe(404);
  expect((await request.get(`${server.url}/healthz`)).status()).toBe(200);
  complaints.expect(answered(404));
  await page.goto(`${server.url}/admin/websockets`);
  await expect(page.getByRole('heading', { name: 'Page not found' })).toBeVisible();
  await expectAccessible(page, 'switched off');
});
