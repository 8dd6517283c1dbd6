import { expectAccessible } from '../fixtures/axe';
import { answered } from '../fixtures/errors';
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
  await expect(monitor.config(3), 'and column 3 says so').toContainText('1 symbol is carried by connection 1');
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
  await expect(result).toContainText('Keep running: connection 1');
  await expect(result).toContainText('WEBSOCKET_CONNECTION_3_PRIORITY=urgent');
  await monitor.expectTicking(2, 20_000);
  expect(await monitor.symbols(2)).toEqual(['BAC', 'JPM', 'WFC']);
  expect(await states(), 'connection 1 was not touched').toEqual(['connected']);
  await result.getByTestId('refresh-close').click();
  await expect(result).toHaveText('');
  await expect(page.getByTestId('refresh'), 'the keyboard goes on where it was').toBeFocused();
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
  await expect(page.getByRole('heading', { name: 'Nothing is here' })).toBeVisible();
  await expectAccessible(page, 'switched off');
});
